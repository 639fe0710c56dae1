"""Any scikit-learn model can be trained and scored on distilled data."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_dd import MLP, load_distilled, save_distilled

from ..helpers import tiny, tiny_regressor


def test_scores_are_those_of_the_model_fitted_by_hand(table):
    X, y = table
    distiller = tiny(n_per_class=3).fit(X, y)
    scaler = StandardScaler().fit(X)
    by_hand = KNeighborsClassifier(1).fit(scaler.transform(distiller.X_syn_), distiller.y_syn_)
    found = distiller.evaluate(X, y, student=KNeighborsClassifier(1))
    assert found.mean == by_hand.score(scaler.transform(X), y)
    assert found.scores.shape == (1,)


def test_a_random_model_is_fitted_several_times(table):
    X, y = table
    distiller = tiny(n_per_class=3).fit(X, y)
    model = RandomForestClassifier(3)
    found, same = (distiller.evaluate(X, y, student=model, n_inits=6) for _ in range(2))
    other = distiller.evaluate(X, y, student=model, n_inits=6, random_state=1)
    assert found.scores.shape == (6,)
    assert found.std > 0
    assert_allclose(found.mean, found.scores.mean())
    assert_array_equal(found.scores, same.scores)
    assert (found.scores != other.scores).any()


def test_it_is_scored_as_the_user_asks(table):
    X, y = table
    distiller = tiny(n_per_class=3).fit(X, y)
    data, weight = distiller.transform(), np.arange(len(y)) % 3
    model = data.train(LogisticRegression())
    asked = {"student": LogisticRegression(), "scoring": "balanced_accuracy"}
    expected = balanced_accuracy_score(y, model.predict(X))
    assert data.evaluate(X, y, **asked).mean == pytest.approx(expected)
    weighted = data.evaluate(X, y, student=LogisticRegression(), sample_weight=weight)
    assert weighted.mean == pytest.approx(model.score(X, y, weight))


def test_a_regression(table):
    X, y = table[0][:, 1:], table[0][:, 0]
    data = tiny_regressor(n_samples=40, data_init="real").fit(X, y).transform()
    expected = data.train(Ridge()).score(X, y)
    assert data.evaluate(X, y, student=Ridge()).mean == pytest.approx(expected)


@pytest.mark.parametrize("changes", [{"n_epochs": 3}, {"each_step": True}, {"init": "fixed"}])
def test_what_is_for_nets_is_refused(table, changes):
    distiller = tiny().fit(*table)
    (name,) = changes
    with pytest.raises(ValueError, match=f"^{name}=.* is for nets, .* Leave {name} out"):
        distiller.evaluate(*table, student=LogisticRegression(), **changes)


def test_learned_labels_become_rows_with_weights(table):
    data = tiny(n_per_class=2, labels="soft").fit(*table).transform()
    X, y, weight = data.to_weighted_rows()
    assert len(X) == len(y) == 18
    assert_allclose(weight.reshape(6, 3), data.y, rtol=1e-5)
    assert_array_equal(X[::3], data.X)
    assert_array_equal(y, np.tile([0, 1, 2], 6))


def test_hard_labels_stay_as_they_are(table):
    data = tiny(n_per_class=2).fit(*table).transform()
    X, y, weight = data.to_weighted_rows()
    assert_array_equal(X, data.X)
    assert_array_equal(y, data.y)
    assert_array_equal(weight, 1)


def test_numbers_have_no_weights(table):
    data = tiny_regressor().fit(table[0], table[0][:, 0]).transform()
    with pytest.raises(ValueError, match="needs one class for each sample, but y is continuous"):
        data.to_weighted_rows()


def test_a_net_learns_without_step_sizes_as_in_an_ordinary_loop(table):
    X, y = table
    data = tiny(n_per_class=3, student=KNeighborsClassifier(1)).fit(X, y).transform()
    assert data.lrs.shape == (0, 1)
    assert data.evaluate(X, y, student=MLP, n_inits=3).mean > 0.8
    assert data.train(MLP).score(X, y) > 0.8


@pytest.mark.parametrize(
    "student", [SVC(C=3), [KNeighborsClassifier(1), MLP], "any"], ids=["model", "several", "any"]
)
def test_a_file_knows_the_models(table, tmp_path, student):
    X, y = table
    distiller = tiny(n_per_class=3, student=student, max_iter=2).fit(X, y)
    save_distilled(tmp_path / "set", distiller)
    loaded = load_distilled(tmp_path / "set")
    first, second = (data.evaluate(X, y, n_inits=2) for data in (distiller, loaded))
    assert_array_equal(first.scores, second.scores)
    assert_array_equal(loaded.train().predict(X), loaded.train().predict(X))
