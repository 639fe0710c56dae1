"""Scikit-learn models learn from distilled data in its units."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_dd import MLP
from sklearn_dd._student import fit_model, is_model, weighted_rows

from ..helpers import net, tiny, tiny_regressor


def fitted_to(distiller, model, seed=0):
    data, recipe = distiller.transform(), distiller.recipe_
    return fit_model(model, recipe.units, recipe.targets, data.X, data.y, seed)


def test_a_model_is_what_scikit_learn_fits_and_skorch_does_not():
    assert is_model(LogisticRegression())
    assert is_model(make_pipeline(StandardScaler(), LogisticRegression()))
    assert not is_model(net())
    assert not is_model(MLP)
    assert not is_model(None)


def test_a_model_learns_and_predicts_in_standardised_units(table):
    X, y = table
    distiller = tiny(n_per_class=3).fit(X, y)
    scaler = StandardScaler().fit(X)
    expected = LogisticRegression().fit(scaler.transform(distiller.X_syn_), distiller.y_syn_)
    model = fitted_to(distiller, LogisticRegression())
    assert_allclose(model.predict_proba(X), expected.predict_proba(scaler.transform(X)), atol=1e-4)


def test_images_are_flat_for_it(images):
    X, y = images
    distiller = tiny().fit(X, y)
    model = fitted_to(distiller, KNeighborsClassifier(1))
    assert_array_equal(model.predict(distiller.X_syn_), distiller.y_syn_)


def test_the_users_model_stays_as_it_is_and_the_seed_decides(table):
    X, y = table
    distiller, model = tiny(n_per_class=5).fit(X, y), RandomForestClassifier(5)
    first, same, other = (fitted_to(distiller, model, seed).predict_proba(X) for seed in (0, 0, 1))
    assert not hasattr(model, "estimators_")
    assert model.random_state is None
    assert_array_equal(first, same)
    assert (first != other).any()


def test_a_regression_is_in_the_units_of_y(table):
    X, y = table[0][:, 1:], table[0][:, 0] * 1000
    distiller = tiny_regressor(n_samples=30, data_init="real").fit(X, y)
    small, large = (fitted_to(distiller, Ridge(alpha)) for alpha in (1e-6, 1e6))
    assert_allclose(large.predict(X), y.mean(), rtol=1e-2)
    assert small.score(X, y) > large.score(X, y)
    assert_array_equal(pickle.loads(pickle.dumps(small)).predict(X), small.predict(X))


def test_learned_labels_are_rows_with_weights():
    X, classes = np.arange(4.0).reshape(2, 2), np.array(["a", "b", "c"])
    rows, labels, weights = weighted_rows(X, np.array([[0.5, 0.0, 1.5], [-1.0, 2.0, 0.0]]), classes)
    assert_array_equal(rows, X[[0, 0, 1]])
    assert_array_equal(labels, ["a", "c", "b"])
    assert_allclose(weights, [0.25, 0.75, 1])


@pytest.mark.parametrize("model", [LogisticRegression(), KNeighborsClassifier(1)])
def test_a_model_without_weights_gets_the_likeliest_class(table, model):
    X, y = table
    distiller = tiny(n_per_class=3, labels="soft").fit(X, y)
    found = fitted_to(distiller, model)
    assert found.score(X, y) > 0.8
    if isinstance(model, KNeighborsClassifier):
        labels = distiller.classes_[distiller.y_syn_.argmax(1)]
        assert_array_equal(found.predict(distiller.X_syn_), labels)
