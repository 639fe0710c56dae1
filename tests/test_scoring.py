"""Students are scored by any scorer of scikit-learn, as if each were scored by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.metrics import (
    f1_score,
    get_scorer,
    log_loss,
    make_scorer,
    mean_absolute_error,
    roc_auc_score,
)

from sklearn_dd import DistilledData, RandomSamples, load_distilled, save_distilled

from .helpers import evaluated_students, small_baseline, tiny, tiny_regressor

NAMES = np.array(["red", "rosé", "white"])


def middle_recall(estimator, X, y):
    """A scorer of a user's own."""
    return float((estimator.predict(X)[y == "rosé"] == "rosé").mean())


CLASSIFICATION = {
    "f1_macro": lambda of, X, y: f1_score(y, of.predict(X), average="macro"),
    "roc_auc_ovr": lambda of, X, y: roc_auc_score(y, of.predict_proba(X), multi_class="ovr"),
    "neg_log_loss": lambda of, X, y: -log_loss(y, of.predict_proba(X), labels=NAMES),
    "balanced_accuracy": lambda of, X, y: np.mean(
        [(of.predict(X)[y == name] == name).mean() for name in NAMES]
    ),
}


@pytest.fixture(scope="module")
def wines():
    from sklearn.datasets import load_wine

    X, y = load_wine(return_X_y=True)
    return X, NAMES[y]


@pytest.fixture(scope="module")
def distiller(wines):
    return tiny(n_per_class=2, n_steps=2).fit(*wines)


@pytest.mark.parametrize("scoring", CLASSIFICATION)
def test_a_scorer_by_name_scores_each_student(wines, distiller, scoring):
    found = distiller.evaluate(*wines, n_inits=4, scoring=scoring)
    by_hand = [CLASSIFICATION[scoring](of, *wines) for of in evaluated_students(distiller, 4)]
    assert_allclose(found.scores, by_hand, rtol=1e-4)
    assert found.mean == pytest.approx(np.mean(found.scores))
    assert len(set(by_hand)) > 1


@pytest.mark.parametrize(
    "scoring", [middle_recall, make_scorer(f1_score, average="micro"), get_scorer("accuracy")]
)
def test_a_scorer_may_be_a_callable(wines, distiller, scoring):
    found = distiller.evaluate(*wines, n_inits=4, scoring=scoring)
    by_hand = [scoring(of, *wines) for of in evaluated_students(distiller, 4)]
    assert_allclose(found.scores, by_hand)


def test_accuracy_by_name_is_the_default(wines, distiller):
    by_name, default = (
        distiller.evaluate(*wines, n_inits=4, each_step=True, scoring=scoring).step_scores
        for scoring in ("accuracy", None)
    )
    assert by_name.shape == (7, 4)
    assert_allclose(by_name, default)


def test_each_step_is_scored_by_the_scorer(wines, distiller):
    each = distiller.evaluate(*wines, n_inits=3, each_step=True, scoring="f1_macro")
    end = distiller.evaluate(*wines, n_inits=3, scoring="f1_macro")
    assert each.step_scores.shape == (7, 3)
    assert_array_equal(each.scores, end.scores)
    assert len(np.unique(each.step_scores, axis=0)) > 1


def test_a_regression_takes_scorers_too(wines):
    X, y = wines[0][:, 1:], wines[0][:, 0]
    distiller = tiny_regressor().fit(X, y)
    students = evaluated_students(distiller, 4)
    found = distiller.evaluate(X, y, n_inits=4, scoring="neg_mean_absolute_error")
    by_hand = [-mean_absolute_error(y, student.predict(X)) for student in students]
    assert_allclose(found.scores, by_hand, rtol=1e-4)
    r2, default = (
        distiller.evaluate(X, y, n_inits=4, scoring=scoring).scores for scoring in ("r2", None)
    )
    assert_allclose(r2, default, rtol=1e-4)


def test_several_labels_take_scorers_too(wines):
    X, y = wines[0], (wines[1][:, None] != NAMES[:2]).astype(int)
    distiller = tiny().fit(X, y)
    found = distiller.evaluate(X, y, n_inits=3, scoring="f1_micro")
    by_hand = [
        f1_score(y, student.predict(X), average="micro")
        for student in evaluated_students(distiller, 3)
    ]
    assert_allclose(found.scores, by_hand)


def test_baselines_and_files_take_scorers_too(wines, distiller, path):
    baseline = small_baseline(RandomSamples).fit(*wines)
    by_hand = [f1_score(wines[1], of.predict(wines[0]), average="macro")
               for of in evaluated_students(baseline, 3)]  # fmt: skip
    assert_allclose(baseline.evaluate(*wines, n_inits=3, scoring="f1_macro").scores, by_hand)
    save_distilled(path, distiller)
    first, second = (
        of.evaluate(*wines, n_inits=3, student=distiller.student, scoring="f1_macro").scores
        for of in (distiller, load_distilled(path))
    )
    assert_array_equal(second, first)


@pytest.mark.parametrize(
    "scoring", [middle_recall, make_scorer(lambda y, found: 0.5)], ids=["callable", "scorer"]
)
def test_a_scorer_without_weights_is_refused_before_students_are_trained(
    wines, distiller, scoring, monkeypatch
):
    X, y = wines
    distiller.evaluate(X, y, n_inits=1, scoring=scoring)
    monkeypatch.setattr(DistilledData, "training", None)
    with pytest.raises(TypeError, match=r"^scoring=.* must take sample_weight.*sample_weight=None"):
        distiller.evaluate(X, y, scoring=scoring, sample_weight=np.ones(len(y)))


def test_a_metric_of_a_regression_without_weights_is_refused():
    X = np.random.default_rng(0).normal(size=(60, 3))
    regressor = tiny_regressor(n_samples=4).fit(X, X[:, 0])
    with pytest.raises(TypeError, match=r"^scoring='neg_max_error' must take sample_weight"):
        regressor.evaluate(X, X[:, 0], scoring="neg_max_error", sample_weight=np.ones(60))


def test_a_callable_that_takes_weights_is_passed_them(wines, distiller):
    X, y = wines
    weights = np.arange(1.0, len(y) + 1)

    def named(estimator, X, y, sample_weight=None):
        return sample_weight @ (estimator.predict(X) == y) / sample_weight.sum()

    def any_keyword(estimator, X, y, **kwargs):
        return named(estimator, X, y, **kwargs)

    settings = {"n_inits": 3, "sample_weight": weights}
    expected = distiller.evaluate(X, y, **settings).scores
    assert not np.allclose(expected, distiller.evaluate(X, y, n_inits=3).scores)
    for scoring in (named, any_keyword):
        assert_allclose(distiller.evaluate(X, y, scoring=scoring, **settings).scores, expected)


def test_weights_for_a_scorer_may_be_a_tensor_of_any_precision(wines, distiller):
    X, y = wines
    weights = torch.arange(len(y)) % 3
    expected, found = (
        distiller.evaluate(X, y, n_inits=2, scoring="accuracy", sample_weight=w).scores
        for w in (weights.numpy(), weights.bfloat16())
    )
    assert_allclose(found, expected)


@pytest.mark.parametrize("scoring", ["accuracies", 3, ["accuracy", "f1_macro"]], ids=str)
def test_what_is_no_scorer_is_refused(wines, distiller, scoring):
    with pytest.raises((TypeError, ValueError), match="scoring"):
        distiller.evaluate(*wines, scoring=scoring)


def test_scores_keep_their_precision(wines):
    X, y = wines
    distiller = tiny().fit(X, y)
    assert (
        distiller.evaluate(X, y, n_inits=1, scoring=lambda *_: 123456789.123).mean == 123456789.123
    )


def test_a_diverged_student_has_no_score(wines):
    X, y = wines
    distiller = tiny().fit(X, y)
    data = distiller.transform()
    diverged = data._replace(lrs=np.full_like(data.lrs, 1e30))
    assert_array_equal(diverged.evaluate(X, y, n_inits=2).scores, 0)
    with pytest.warns(UserWarning, match="has diverged"):
        scores = diverged.evaluate(X, y, n_inits=2, scoring="accuracy").scores
    assert_array_equal(scores, np.nan)


def test_a_sparse_y_is_scored_as_a_dense_one(table):
    X, y = table
    labels = np.stack([y == 0, y > 0], axis=1).astype(int)
    distiller = tiny().fit(X, labels)
    dense, sparse = (
        distiller.evaluate(X, of, n_inits=2, scoring="f1_micro").scores
        for of in (labels, csr_array(labels))
    )
    assert_array_equal(sparse, dense)


def test_a_scorer_that_asks_for_other_samples_is_refused(wines):
    X, y = wines
    distiller = tiny().fit(X, y)
    with pytest.raises(ValueError, match="scoring must score the samples that it is passed"):
        distiller.evaluate(X, y, scoring=lambda of, X, y: of.score(X[:9], y[:9]))
