"""The distiller for regression targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.datasets import (
    load_diabetes,
    make_regression,
)
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    parametrize_with_checks,
)
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_dd import (
    MLP,
    Clipped,
    CudaGraph,
    DatasetDistillerRegressor,
    DistilledData,
    GradientMatching,
    Ridge,
    Unrolled,
    load_distilled,
    save_distilled,
)
from sklearn_dd._distillers import steady

from ..helpers import (
    EXPECTED_FAILURES,
    named,
    same,
    through_joblib,
    through_pickle,
    tiny_regressor,
)


@pytest.fixture(scope="module")
def diabetes():
    """X, X_test, y, y_test."""
    return train_test_split(*load_diabetes(return_X_y=True), random_state=0)


FACTORS = np.array(steady._FACTORS)


class Linear(nn.Linear):
    """A linear model without intercept, whose every weight is random."""

    def __init__(self, sample_shape, n_classes):
        super().__init__(*sample_shape, n_classes, bias=False)


# Enough to fit scikit-learn's linear problem, and cheap.
CHECKED = tiny_regressor(
    n_samples=20, student=Linear, distill_lr=0.3, max_iter=15, n_inits=1, outer_lr=0.1
)


@parametrize_with_checks([CHECKED], expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("n_samples", "succeeds"), [(3, True), (2, False)])
def test_a_linear_student_needs_a_sample_for_each_weight(n_samples, succeeds):
    """In one step D samples reach θ* from every start; of fewer, a direction stays as drawn."""
    X, y = make_regression(300, 3, random_state=0)
    distiller = DatasetDistillerRegressor(
        n_samples, n_epochs=1, student=Linear, distill_lr=1.0, max_iter=600, batch_size=300,
        n_inits=8, random_state=0,
    )  # fmt: skip
    scores = distiller.fit(X, y - y.mean()).evaluate(X, y - y.mean(), n_inits=50).scores
    assert (scores.min() > 0.999) == succeeds
    assert (scores.mean() < 0.99) != succeeds


@pytest.mark.slow
def test_diabetes_in_five_pairs(diabetes):
    """Near a linear regression on all data, and better than as many real ones."""
    X, X_test, y, y_test = diabetes
    full = LinearRegression().fit(X, y).score(X_test, y_test)
    learned = DatasetDistillerRegressor(5, max_iter=200, random_state=0).fit(X, y)
    still = DatasetDistillerRegressor(
        5, labels="hard", data_init="real", outer_lr=1e-9, step_size_rate=1e7, max_iter=200,
        random_state=0,
    ).fit(X, y)  # fmt: skip  # real pairs, with learned step sizes
    scores = [d.evaluate(X_test, y_test).mean for d in (learned, still)]
    assert scores[0] > full - 0.1
    assert scores[0] > scores[1] + 0.1


def test_evaluate_is_r2(diabetes):
    X, X_test, y, y_test = diabetes
    distiller = tiny_regressor(init="fixed").fit(X, y)
    (score,) = distiller.evaluate(X_test, y_test).scores
    assert score == pytest.approx(r2_score(y_test, distiller.predict(X_test)), abs=1e-5)
    assert score == pytest.approx(distiller.score(X_test, y_test), abs=1e-5)


def test_the_skorch_student_predicts_in_the_units_of_y(diabetes):
    X, X_test, y, _ = diabetes
    distiller = tiny_regressor().fit(X, y)
    assert is_regressor(distiller)
    assert isinstance(distiller.student_, NeuralNetRegressor)
    assert_allclose(
        distiller.student_.predict(X_test.astype(np.float32)), distiller.predict(X_test)
    )


@pytest.mark.parametrize(
    "data_init", ["real", "kmeans", "mean", "herding", "kcenters", "medoids", "noise", "given"]
)
def test_a_step_that_changes_nothing_keeps_the_start(diabetes, data_init):
    X, _, y, _ = diabetes
    given = X[:6] if data_init == "given" else data_init
    still = {"outer_lr": 1e-12, "n_steps": 2, "validation_fraction": 0}
    X_syn, y_syn, lrs = tiny_regressor(n_samples=6, data_init=given, **still).fit(X, y).transform()
    assert X_syn.shape == (6, 10)
    assert y_syn.shape == (6,)
    # In the end all step sizes may be shortened alike.
    assert_allclose(lrs, 0.03 * FACTORS[np.abs(lrs[0, 0] / 0.03 - FACTORS).argmin()], rtol=1e-5)
    if data_init in ("real", "herding", "kcenters", "medoids", "given"):
        rows = [int(np.abs(X - x).sum(1).argmin()) for x in X_syn]
        assert_allclose(X_syn, X[rows], atol=1e-6)
        assert_allclose(y_syn, y[rows], rtol=1e-5)
    else:
        assert y.min() <= y_syn.min() <= y_syn.max() <= y.max()


def test_step_sizes_of_rate_0_stay(diabetes):
    X, _, y, _ = diabetes
    still = {"n_steps": 2, "n_samples": 6, "data_init": "noise", "validation_fraction": 0}
    fitted = tiny_regressor(**still, outer_lr=1e-12, step_size_rate=0).fit(X, y)
    assert_allclose(fitted.lrs_, 0.03, rtol=1e-5)


def test_more_samples_than_there_are(diabetes):
    X, _, y, _ = diabetes
    assert len(tiny_regressor(n_samples=20, max_iter=1).fit(X[:9], y[:9]).X_syn_) == 20


@pytest.mark.parametrize("through", [through_pickle, through_joblib])
@pytest.mark.parametrize("changes", [{}, {"init": "fixed"}, {"labels": "hard"}], ids=named)
def test_a_pickled_distiller_stays_what_it_was(diabetes, through, changes):
    X, X_test, y, _ = diabetes
    fitted = tiny_regressor(**changes).fit(X, y)
    copy = through(fitted)
    assert same(copy.transform(), fitted.transform())
    assert_array_equal(copy.predict(X_test), fitted.predict(X_test))
    assert same(clone(copy).fit_transform(X, y), fitted.transform())


def test_a_file_holds_all(diabetes, tmp_path):
    X, X_test, y, _ = diabetes
    distiller = tiny_regressor(init="fixed").fit(X, y)
    save_distilled(tmp_path / "diabetes", distiller)
    data = load_distilled(tmp_path / "diabetes")
    assert isinstance(data, DistilledData)
    assert same(data, distiller.transform())
    student = data.train(NeuralNetRegressor(MLP, module__width=8))
    assert_allclose(
        student.predict(X_test.astype(np.float32)), distiller.predict(X_test), rtol=1e-4
    )


def test_a_killed_fit_continues(diabetes, tmp_path):
    X, _, y, _ = diabetes
    options = {"max_iter": 6, "checkpoint": tmp_path / "fit", "checkpoint_every": 4}
    whole = tiny_regressor(**options).fit_transform(X, y)
    resumed = tiny_regressor(**options).fit(X, y, resume_from=tmp_path / "fit").transform()
    assert same(whole, resumed)


def test_warm_start_continues_from_the_last_fit(diabetes):
    X, _, y, _ = diabetes
    distiller = tiny_regressor(warm_start=True, outer_lr=1e-12, n_samples=4).fit(X, y)
    before = distiller.transform()
    after = distiller.fit(X, y).transform()
    assert_allclose(after.X, before.X, rtol=1e-5, atol=1e-7)
    assert_allclose(after.y, before.y, rtol=1e-5)


def test_an_objective_of_the_users_own(diabetes):
    """Under the pinball loss at 0.9, nine tenths of the numbers lie below the prediction."""
    X, X_test, y, y_test = diabetes

    def pinball(outputs, y):
        return torch.maximum(0.9 * (y - outputs), 0.1 * (outputs - y)).mean()

    distiller = DatasetDistillerRegressor(objective=pinball, max_iter=200, random_state=0).fit(X, y)
    assert 0.8 < np.mean(y_test < distiller.predict(X_test)) < 0.98


def test_pipeline_and_grid_search(diabetes):
    X, X_test, y, y_test = diabetes
    pipeline = make_pipeline(StandardScaler(), tiny_regressor(n_samples=4, max_iter=20))
    grid = {"datasetdistillerregressor__n_steps": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    best = search.best_estimator_[-1]
    assert best.lrs_.shape == (3, search.best_params_["datasetdistillerregressor__n_steps"])
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0
    assert search.score(X_test, y_test) == pytest.approx(r2_score(y_test, search.predict(X_test)))


def test_windows_and_images():
    rng = np.random.default_rng(0)
    X = 0.1 * rng.normal(size=(40, 8, 8)).astype(np.float32)
    X += rng.normal(size=(40, 1, 1)).astype(np.float32)
    y = X.mean((1, 2))
    whole, window, flipped = (
        tiny_regressor(max_iter=60, distill_lr=0.1, n_epochs=5, **changes).fit(X, y)
        for changes in ({}, {"method": Unrolled(window=2)}, {"augment": "flip"})
    )
    for distiller in (whole, window, flipped):
        assert distiller.X_syn_.shape == (10, 8, 8)
        assert distiller.score(X, y) > 0.5
    assert not np.array_equal(whole.X_syn_, window.X_syn_)
    assert not np.array_equal(whole.X_syn_, flipped.X_syn_)


def test_constant_held_out_numbers_still_distinguish_iterates():
    X = np.random.default_rng(0).normal(size=(15, 4))
    history = tiny_regressor(validation_fraction=0.1, max_iter=10).fit(X, X[:, 0]).history_
    assert np.isfinite(history["validation_score"]).all()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"n_samples": 5, "n_steps": 2}, r"n_steps=2 must divide n_samples=5"),
        ({"objective": "classification"}, "objective"),
        ({"method": "magic"}, "method"),
        (
            {"method": "distribution"},
            r"method='distribution' takes a .* y, but this y is continuous",
        ),
        ({"method": "gradient"}, r"method='gradient' takes a .* y, but this y is continuous"),
        ({"labels": "soft"}, "labels"),
        ({"labels": True}, "labels"),
        ({"student": 3}, "student must be None"),
    ],
)
def test_bad_parameters(diabetes, changes, rule):
    X, _, y, _ = diabetes
    with pytest.raises((ValueError, TypeError), match=rule):
        tiny_regressor(**changes).fit(X, y)


def test_bad_targets(diabetes):
    X, X_test, y, y_test = diabetes
    with pytest.raises(ValueError, match=r"one number .* shape \(\d+, 2\): fit .* each column"):
        tiny_regressor().fit(X, np.stack([y, y], axis=1))
    for scale in (1e300, 1e-300):
        with pytest.raises(ValueError, match=r"y must have a standard deviation that .*Rescale y"):
            tiny_regressor().fit(X, y * scale)
    with pytest.raises(ValueError, match=r"y must hold numbers.*class labels"):
        tiny_regressor().fit(X, np.where(y > 100, "high", "low"))
    with pytest.raises(ValueError, match="Complex data not supported: y must hold real numbers"):
        tiny_regressor().fit(X, y + 1j)
    fitted = tiny_regressor().fit(X, y)
    assert same(tiny_regressor().fit_transform(X, y.astype(object)), fitted.transform())
    with pytest.raises(ValueError, match="a number for each sample"):
        fitted.evaluate(X_test, y_test[:-1])
    with pytest.raises(ValueError, match="y must be finite"):
        fitted.evaluate(X_test, np.where(y_test > 100, np.nan, y_test))


def test_free_targets_are_learned_and_hard_ones_stay(diabetes):
    X, _, y, _ = diabetes
    start = tiny_regressor(outer_lr=1e-12, validation_fraction=0).fit(X, y)
    settings = {"outer_lr": 0.3, "validation_fraction": 0}
    default, free, hard = (
        tiny_regressor(**settings, **labels).fit(X, y)
        for labels in ({}, {"labels": "free"}, {"labels": "hard"})
    )
    assert_array_equal(default.y_syn_, free.y_syn_)
    assert np.abs(free.y_syn_ - start.y_syn_).min() > 1
    assert_allclose(hard.y_syn_, start.y_syn_, rtol=1e-6)
    assert not np.allclose(hard.X_syn_, start.X_syn_)


METHODS = {
    "ridge": "ridge",
    "Ridge": Ridge(max_age=20),
    "clipped": Clipped(Unrolled(window=1)),
    "graph": CudaGraph(),
    "list": [Ridge(), Unrolled()],
}


@pytest.mark.parametrize("labels", ["free", "hard"])
@pytest.mark.parametrize("method", METHODS)
def test_methods_that_a_regression_takes(diabetes, method, labels):
    X, _, y, _ = diabetes
    settings = {
        "method": METHODS[method],
        "labels": labels,
        "max_iter": 6,
        "validation_fraction": 0,
    }
    found = tiny_regressor(**settings, outer_lr=0.1).fit(X, y)
    start = tiny_regressor(**settings, outer_lr=1e-12).fit(X, y)
    assert found.n_iter_ == 6
    assert np.abs(found.X_syn_ - start.X_syn_).max() > 1e-3
    assert np.abs(found.lrs_ - 0.03).max() > 1e-4
    assert (np.abs(found.y_syn_ - start.y_syn_).max() > 1) == (labels == "free")


def test_a_ridge_regression_is_learned_from(diabetes):
    X, X_test, y, y_test = diabetes
    found = DatasetDistillerRegressor(5, method="ridge", max_iter=100, random_state=0).fit(X, y)
    assert found.evaluate(X_test, y_test).mean > 0.3


def test_a_method_that_a_regression_does_not_take_is_named(diabetes):
    X, _, y, _ = diabetes
    for method in (GradientMatching(), [Unrolled(), GradientMatching()]):
        with pytest.raises(ValueError, match=r"GradientMatching.*this y is continuous\. Use"):
            tiny_regressor(method=method).fit(X, y)


def test_the_parameter_of_an_earlier_version_is_none():
    with pytest.raises(TypeError, match="learn_targets"):
        DatasetDistillerRegressor(learn_targets=True)
