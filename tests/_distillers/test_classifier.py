"""Labels of the classifier: hard, soft and free."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score

from ..helpers import (
    tiny,
)


def test_hard_labels_stay_and_soft_labels_are_learned_probabilities(table):
    X, y = table
    hard = tiny(n_per_class=2).fit_transform(X, y)
    assert hard.y.shape == (6,)
    distiller = tiny(n_per_class=2, labels="soft", outer_lr=0.2).fit(X, y)
    soft = distiller.transform().y
    assert soft.shape == (6, 3)
    assert (soft > 0).all()
    assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(soft.argmax(axis=1), hard.y, "labels start from the hard ones")
    start = tiny(n_per_class=2, labels="soft", outer_lr=1e-9).fit_transform(X, y).y
    assert np.abs(soft - start).max() > 1e-2
    assert distiller.predict(X).shape == y.shape


def test_free_labels_are_numbers_of_either_sign(table):
    X, y = table
    start = tiny(labels="free", outer_lr=1e-9).fit_transform(X, y).y
    assert_allclose(start, np.eye(3), atol=1e-6)
    free = tiny(labels="free", outer_lr=0.2).fit_transform(X, y).y
    assert (free < 0).any()
    assert np.abs(free.sum(axis=1) - 1).max() > 1e-2


@pytest.mark.parametrize(
    "data_init", ["noise", "real", "kmeans", "mean", "herding", "kcenters", "medoids"]
)
def test_imbalanced_classes_and_a_class_of_one_sample(table, data_init):
    X, y = table
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:4], [177]])
    settings = {"n_per_class": 2, "n_epochs": 10, "distill_lr": 0.5, "max_iter": 10}
    distiller = tiny(data_init=data_init, **settings).fit(X[rows], y[rows])
    assert_array_equal(distiller.transform().y, [0, 0, 1, 1, 2, 2])
    assert np.isfinite(distiller.transform().X).all()
    predicted = distiller.predict(X)
    recalls = [(predicted[y == c] == c).mean() for c in range(3)]
    assert min(recalls) > 0.2, "rare classes are learned too"


def test_it_is_a_classifier_whose_score_is_accuracy(fitted, table):
    X, y = table
    assert is_classifier(fitted)
    assert fitted.score(X, y) == accuracy_score(y, fitted.predict(X))
    assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], fitted.predict(X))
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-6)
