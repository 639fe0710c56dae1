"""Small problems, and distillers that learn them in a moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_wine
from skorch import NeuralNetClassifier

from sklearn_dd import DatasetDistiller
from sklearn_dd.modules import MLP, ConvNet

Array = NDArray[Any]


def net(module: Any = MLP, width: int = 8, **arguments: Any) -> NeuralNetClassifier:
    """An unfitted student of few units."""
    named = {f"module__{name}": value for name, value in arguments.items()}
    return NeuralNetClassifier(module, module__width=width, **named)


def tiny(**changes: Any) -> DatasetDistiller:
    """A distiller that fits in a fraction of a second."""
    small = {
        "n_epochs": 3,
        "student": net(),
        "max_iter": 3,
        "batch_size": 32,
        "n_inits": 2,
        "device": "cpu",
        "random_state": 0,
    }
    return DatasetDistiller(**(small | changes))


def tiny_for_images(**changes: Any) -> DatasetDistiller:
    """The same with a convolutional student."""
    return tiny(**({"student": net(ConvNet, width=4, depth=1)} | changes))


def named(value: Any) -> str:
    """A short name of a parameter for the name of a test."""
    if isinstance(value, dict):
        return "-".join(f"{name}={named(of)}" for name, of in value.items()) or "default"
    return getattr(value, "__name__", None) or str(value)


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
