"""scikit-learn's own checks, and what those cover that cannot pass."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from sklearn_dd import (
    KMeansCenters,
    xavier_normal,
)

from .helpers import (
    CHECKED,
    EXPECTED_FAILURES,
    named,
    same,
    small_baseline,
    through_joblib,
    through_pickle,
    tiny,
    tiny_for_images,
)

CHECKED_BASELINE = small_baseline(KMeansCenters, n_per_class=4, n_epochs=30, step_sizes=[1.0])


@parametrize_with_checks(
    [CHECKED, CHECKED_BASELINE], expected_failed_checks=lambda _: EXPECTED_FAILURES
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_every_expected_failure_is_the_name_of_a_check():
    names = {
        getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(CHECKED)
    }
    assert len(EXPECTED_FAILURES) == 8
    assert set(EXPECTED_FAILURES) <= names


def test_pipeline_of_one_step_does_as_the_distiller_alone(table):  # check_pipeline_consistency
    X, y = table
    alone, pipeline = tiny().fit(X, y), make_pipeline(tiny()).fit(X, y)
    assert_array_equal(pipeline.predict(X), alone.predict(X))
    assert_array_equal(pipeline.predict_proba(X), alone.predict_proba(X))
    assert pipeline.score(X, y) == alone.score(X, y)
    assert same(pipeline.transform(X), alone.transform())
    assert same(make_pipeline(tiny()).fit_transform(X, y), alone.transform())


@pytest.mark.parametrize("through", [through_pickle, through_joblib])
@pytest.mark.parametrize(
    "changes", [{}, {"init": "fixed"}, {"labels": "soft"}, {"init": xavier_normal}], ids=named
)
def test_a_pickled_distiller_stays_what_it_was(table, through, changes):  # check_estimators_pickle
    X, y = table
    fitted = tiny(**changes).fit(X, y)
    copy = through(fitted)
    assert same(copy.transform(), fitted.transform())
    assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(
        copy.evaluate(X, y, n_inits=2, each_step=True).step_scores,
        fitted.evaluate(X, y, n_inits=2, each_step=True).step_scores,
    )
    assert same(copy.fit_transform(X, y), fitted.transform())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"init": "fixed"},
        {"init": xavier_normal},
        {"labels": "soft"},
        {"labels": "free"},
        {"data_init": "noise"},
        {"data_init": "real"},
        {"n_per_class": 4, "n_steps": 2},
        {"student": None},
    ],
    ids=named,
)
def test_the_same_seed_gives_the_same_bits(table, changes):  # check_fit_idempotent
    X, y = table
    once = tiny(**changes).fit(X, y)
    again = tiny(**changes).fit(X, y)
    assert once.history_ == again.history_
    assert same(once.transform(), again.transform())
    assert_array_equal(once.predict_proba(X), again.predict_proba(X))
    assert_array_equal(
        once.evaluate(X, y, n_inits=3, each_step=True).step_scores,
        again.evaluate(X, y, n_inits=3, each_step=True).step_scores,
    )
    assert same(once.fit(X, y).transform(), again.transform())


def test_the_same_seed_gives_the_same_bits_for_images(images):
    X, y = images
    assert same(tiny_for_images().fit_transform(X, y), tiny_for_images().fit(X, y).transform())


def test_transform_gives_the_distilled_data_whatever_it_is_passed(table):  # ..transformer_general
    X, y = table
    distiller = tiny()
    returned = distiller.fit_transform(X, y)
    for passed in ((), (None,), (X,), (X[:1],), (X + 1,), (X.tolist(),)):
        assert same(distiller.transform(*passed), returned)
    with pytest.raises(ValueError, match="12 features, but DatasetDistiller is expecting 13"):
        distiller.transform(X[:, :-1])
    with pytest.raises(ValueError, match="NaN"):
        distiller.transform(np.full_like(X, np.nan))


def test_predictions_go_with_their_rows(fitted, table):  # check_methods_sample_order_invariance
    X, _ = table
    order = np.random.default_rng(0).permutation(len(X))
    assert_array_equal(fitted.predict(X)[order], fitted.predict(X[order]))
    np.testing.assert_allclose(
        fitted.predict_proba(X)[order], fitted.predict_proba(X[order]), atol=1e-6
    )
    assert same(fitted.transform(X[order]), fitted.transform(X))


def test_predictions_of_a_part_are_a_part_of_the_predictions(fitted, table):  # ..subset_invariance
    X, _ = table
    parts = np.array_split(X, 10)
    assert_array_equal(np.concatenate([fitted.predict(p) for p in parts]), fitted.predict(X))
    np.testing.assert_allclose(
        np.concatenate([fitted.predict_proba(p) for p in parts]),
        fitted.predict_proba(X),
        atol=1e-6,
    )
    for part in parts:
        assert same(fitted.transform(part), fitted.transform(X))


def test_clone_copies_parameters_and_nothing_else(fitted):
    copy = clone(fitted)
    assert copy.get_params()["student__module__width"] == 8
    assert {n: p for n, p in copy.get_params().items() if not n.startswith("student")} == {
        n: p for n, p in fitted.get_params().items() if not n.startswith("student")
    }
    with pytest.raises(NotFittedError):
        copy.transform()
