"""What the benchmarks share: sets of images, and tables for the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.datasets import fetch_openml

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
MACHINE = (
    f"CPU with {os.cpu_count()} cores, Python {platform.python_version()},\n"
    f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
)


def list_table(rows: Iterable[Iterable[str]]) -> str:
    """A reStructuredText table. The first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for cells in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {c}".rstrip() for i, c in enumerate(cells)]
    return "\n".join(lines) + "\n"


def image_set(
    file: str, openml: str, n_train: int, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The standard split X, X_test, y, y_test; images (n, side, side)."""
    path = Path(os.environ.get("SKLEARN_DD_DATA", ROOT.parent / "shared" / "data")) / file
    if path.exists():
        with np.load(path) as f:
            return f["x_train"], f["x_test"], f["y_train"], f["y_test"]
    X, y = fetch_openml(openml, return_X_y=True, as_frame=False)
    X, y = X.reshape(-1, side, side), y.astype(int)
    return X[:n_train], X[n_train:], y[:n_train], y[n_train:]
