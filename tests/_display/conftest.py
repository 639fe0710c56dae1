"""Fitted distillers to show."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import (
    load_digits,
    load_wine,
)

from sklearn_dd import (
    DatasetDistiller,
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    """Two steps of two samples of each of three classes, for an MLP that saw flat images."""
    X, y = load_digits(n_class=3, return_X_y=True)
    names = np.array(["null", "eins", "zwei"])
    distiller = DatasetDistiller(4, n_steps=2, n_epochs=3, max_iter=3, n_inits=1, random_state=0)
    return distiller.fit(X, names[y])


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True, as_frame=True)
    return DatasetDistiller({0: 4, 1: 2, 2: 2}, n_steps=2, max_iter=3, random_state=0).fit(X, y)
