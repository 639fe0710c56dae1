"""Classes, several labels and numbers, to a student and back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_dd import (
    MLP,
    DatasetDistillerRegressor,
)

from ..helpers import (
    tiny,
)


@pytest.mark.parametrize(
    "names",
    [
        np.array([0, 1, 2]),
        np.array([-7, 3, 100]),
        np.array([0, 1, 2], dtype=np.uint8),
        np.array([1.0, 2.0, 3.0]),
        np.array(["b", "a", "cc"]),
        np.array(["b", "a", "cc"], dtype=object),
    ],
    ids=lambda names: f"{names.dtype}",
)
def test_classes_of_any_name(table, names):
    X, y = table
    distiller = tiny().fit(X, names[y])
    assert_array_equal(distiller.classes_, np.sort(names))
    assert distiller.transform().y.dtype == names.dtype
    assert_array_equal(distiller.transform().y, np.sort(names))
    # The names decide no more than the order of the classes.
    ranks = np.searchsorted(distiller.classes_, names)
    encoded = tiny().fit(X, ranks[y])
    assert_array_equal(distiller.transform().X, encoded.transform().X)
    assert_array_equal(distiller.predict(X), distiller.classes_[encoded.predict(X)])
    assert distiller.score(X, names[y]) == encoded.score(X, ranks[y])
    assert (
        distiller.evaluate(X, names[y], n_inits=2).mean
        == encoded.evaluate(X, ranks[y], n_inits=2).mean
    )


def test_two_classes(table):
    X, y = table
    few = y < 2
    distiller = tiny().fit(X[few], y[few] == 1)
    assert_array_equal(distiller.transform().y, [False, True])
    assert distiller.predict_proba(X).shape == (len(X), 2)
    assert distiller.predict(X).dtype == bool


def test_many_classes():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 40
    X = rng.normal(size=(200, 5))
    distiller = tiny().fit(X, y)
    assert_array_equal(distiller.transform().y, np.arange(40))
    assert distiller.predict_proba(X).shape == (200, 40)


def test_a_constant_that_has_no_exact_mean_is_a_constant():
    X = np.random.default_rng(0).normal(size=(178, 3))
    regressor = DatasetDistillerRegressor(max_iter=1, n_epochs=1, student=MLP)
    regressor.fit(X, np.full(178, 0.1))
    assert (regressor.recipe_.targets.shift, regressor.recipe_.targets.scale) == (0.1, 1.0)
