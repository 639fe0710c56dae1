"""Classes, several labels and numbers, to a student and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd import (
    MLP,
    DatasetDistillerRegressor,
)
from sklearn_dd._data import Continuous, Multiclass, Multilabel, read_targets

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


NAMES = np.array(["b", "cc", "d"])
TARGETS = {
    "multiclass": (Multiclass(NAMES), NAMES[[2, 0, 1, 1]]),
    "multilabel": (Multilabel(3), np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])),
    "continuous": (Continuous(5.0, 2.0), np.array([1.0, 9.0, 5.0, -3.0])),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_what_a_student_sees_can_be_undone(kind):
    targets, y = TARGETS[kind]
    encoded = targets.encode(y)
    assert encoded.dtype == torch.float32
    assert encoded.shape == (4, targets.n_outputs)
    assert_array_equal(targets.decode(encoded, learned=False), y)
    assert_array_equal(targets.encode(targets.decode(encoded, learned=False)), encoded)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_header_holds_the_targets(kind):
    targets, y = TARGETS[kind]
    read = read_targets(json.loads(json.dumps(targets.metadata())))
    assert type(read) is type(targets)
    assert read.identity() == targets.identity()
    assert_array_equal(read.encode(y), targets.encode(y))


def test_outputs_become_predictions():
    outputs = torch.tensor([[0.1, 2.0, -1.0], [3.0, 0.2, 0.1]])
    multiclass, multilabel = TARGETS["multiclass"][0], TARGETS["multilabel"][0]
    assert_array_equal(multiclass.predictions(outputs), ["cc", "b"])
    assert_allclose(multiclass.probabilities(outputs), outputs.softmax(1))
    assert_array_equal(multilabel.predictions(outputs), [[1, 1, 0], [1, 1, 1]])
    assert_allclose(multilabel.probabilities(outputs), outputs.sigmoid())
    assert_allclose(Continuous(5.0, 2.0).predictions(outputs[:, :1]), [5.2, 11.0], rtol=1e-6)


def test_numbers_are_standardised_and_a_constant_keeps_its_scale():
    y = np.array([1.0, 2.0, 3.0, 6.0])
    targets = Continuous.fit(y)
    assert (targets.shift, targets.scale) == (y.mean(), y.std())
    assert_allclose(targets.encode(y)[:, 0], (y - y.mean()) / y.std(), rtol=1e-6)


def test_new_targets_are_checked():
    multiclass, multilabel, continuous = (targets for targets, _ in TARGETS.values())
    assert_array_equal(multiclass.check(["d", "b"], 2), [2, 0])
    with pytest.raises(ValueError, match=r"y must hold classes .*'d'\].*\['x'\]"):
        multiclass.check(["d", "x"], 2)
    with pytest.raises(ValueError, match="y must hold 0 or 1 for each of 2 samples and 3 labels"):
        multilabel.check([[1, 0], [0, 1]], 2)
    assert_allclose(continuous.check([5, 7], 2), [[0], [1]])
    with pytest.raises(ValueError, match="y must have a number for each sample, 2, but has 1"):
        continuous.check([5], 2)
