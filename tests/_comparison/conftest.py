"""A split of the wines, and a distiller that is fitted on one part."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistiller

from ..helpers import tiny


@pytest.fixture(scope="session")
def split() -> tuple[Any, Any, Any, Any]:
    """X_train, y_train, X_test, y_test."""
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    return X_train, y_train, X_test, y_test


@pytest.fixture(scope="session")
def distiller(split: Any) -> DatasetDistiller:
    """Fitted for long enough to distinguish the wines. Not to be changed."""
    return tiny(n_epochs=10, max_iter=60).fit(*split[:2])
