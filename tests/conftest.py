"""Small real sets, and a distiller that is fitted on one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine

from sklearn_dd import DatasetDistiller, save_distilled

from .helpers import Array, tiny


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Tensors of a few numbers are slower, not faster, on several cores.
    torch.set_num_threads(1)


@pytest.fixture
def table() -> tuple[Array, Array]:
    """(178, 13) measurements of three wines, sorted by class."""
    return load_wine(return_X_y=True)


@pytest.fixture
def images() -> tuple[Array, Array]:
    """(120, 8, 8) grey images of three digits, in bytes."""
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:120].reshape(-1, 8, 8).astype(np.uint8), y[:120]


@pytest.fixture(scope="module")
def fitted() -> DatasetDistiller:
    """A distiller fitted on the table; two samples a class in two steps. Not to be changed."""
    return tiny(n_per_class=2, n_steps=2).fit(*load_wine(return_X_y=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where distilled data may be saved."""
    return tmp_path / "distilled.safetensors"


@pytest.fixture
def whole(fitted: DatasetDistiller, path: Path) -> bytes:
    """The content of the file of ``fitted``, which lies at ``path``."""
    save_distilled(path, fitted)
    return path.read_bytes()
