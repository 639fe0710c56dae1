"""The digits that come with the package teach the models that they were distilled for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from sklearn_dd import load_distilled_digits

MODELS = [
    (LogisticRegression(max_iter=1000), 0.94, 0.94), (KNeighborsClassifier(1), 0.94, 0.93),
    (SVC(), 0.94, 0.95), (MLPClassifier(max_iter=500, random_state=0), 0.8, 0.92),
    (RandomForestClassifier(random_state=0), 0.58, 0.9),
    (GradientBoostingClassifier(n_estimators=20, random_state=0), 0.4, 0.55),
]  # fmt: skip


@pytest.fixture(scope="module")
def test_part():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)[1::2]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("k", [0, 1], ids=["1", "10"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m[0]).__name__)
def test_each_model_learns_from_them(test_part, model, k):
    fitted = load_distilled_digits((1, 10)[k]).train(model[0])
    assert fitted.score(*test_part) > model[1 + k]


@pytest.mark.parametrize("n", [1, 10])
def test_they_are_a_triple_in_the_units_of_the_digits(n):
    X, y, lrs = load_distilled_digits(n)
    assert X.shape == (10 * n, 64)
    assert_array_equal(np.bincount(y), np.full(10, n))
    assert lrs.size == 0
    assert -20 < X.min() < X.max() < 36  # pixels are 0 to 16


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="must be 1 or 10, got 3"):
        load_distilled_digits(3)
