"""A set is distilled for scikit-learn models, or for several students at once."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC, SVR, LinearSVC
from skorch import NeuralNetClassifier
from torch.nn import functional as F

from sklearn_dd import (
    MLP,
    DatasetDistiller,
    DatasetDistillerRegressor,
    RandomSamples,
    TargetedAttack,
    all_baselines,
    attack_report,
    compare,
    load_distilled,
    save_distilled,
)

from ..helpers import net

NEAREST = KNeighborsClassifier(1)
REGRESSORS = [
    Ridge(), KNeighborsRegressor(1), SVR(), KernelRidge(kernel="rbf"),
    RandomForestRegressor(random_state=0),
]  # fmt: skip
SHORT = {"max_iter": 60, "outer_lr": 0.05, "data_init": "real", "random_state": 0}


def fitted(student, table, **changes):
    return DatasetDistiller(student=student, **{**SHORT, **changes}).fit(*table)


@pytest.fixture(scope="module")
def hard():
    """Three classes that overlap."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    return rng.normal(size=(600, 4)) + 1.2 * np.eye(4)[y], y


@pytest.mark.parametrize(
    "model", [NEAREST, LogisticRegression(), SVC(), GaussianNB()], ids=lambda m: type(m).__name__
)
def test_a_model_learns_more_from_samples_that_are_learned_for_it(hard, model):
    start = fitted(model, hard, n_per_class=3, max_iter=1, outer_lr=1e-9, validation_fraction=0)
    learned = fitted(model, hard, n_per_class=3)
    assert learned.score(*hard) > start.score(*hard) + 0.02


def test_what_comes_back_is_a_triple_without_step_sizes(hard):
    X_syn, y_syn, lrs = fitted(NEAREST, hard, n_per_class=2).transform()
    assert X_syn.shape == (6, 4)
    assert_array_equal(np.sort(y_syn), [0, 0, 1, 1, 2, 2])
    assert lrs.shape == (0, 2)


def test_the_student_is_the_users_own_model_fitted_by_its_own_fit(hard):
    distiller = fitted(SVC(C=3), hard)
    assert isinstance(distiller.student_[-1], SVC)
    assert distiller.student_[-1].C == 3
    assert_array_equal(distiller.predict(hard[0]), distiller.student_.predict(hard[0]))
    assert distiller.score(*hard) == distiller.student_.score(*hard)
    assert distiller.evaluate(*hard).mean == pytest.approx(distiller.score(*hard))


def test_one_set_serves_several_students(hard):
    students = [NEAREST, MLP]
    distiller = fitted(students, hard, n_per_class=2)
    found = distiller.evaluate(*hard, n_inits=4)
    assert found.scores.shape == (2, 4)
    assert found.scores.min() > 0.5
    assert isinstance(distiller.student_[-1], KNeighborsClassifier)
    assert distiller.lrs_.shape == (distiller.plan_["n_epochs"], 2)
    first = fitted(students[::-1], hard, n_per_class=2).student_
    assert isinstance(first, NeuralNetClassifier)


def test_the_same_seed_gives_the_same_bits(hard):
    first, second = (fitted([NEAREST, LogisticRegression()], hard).X_syn_ for _ in range(2))
    assert_array_equal(first, second)


def test_clones_and_pickles_work(hard):
    distiller = fitted([NEAREST, net()], hard)
    again = clone(distiller).fit(*hard)
    assert_array_equal(again.X_syn_, distiller.X_syn_)
    loaded = pickle.loads(pickle.dumps(distiller))
    assert_array_equal(loaded.predict(hard[0]), distiller.predict(hard[0]))


def test_a_search_over_the_models_parameters(hard):
    search = GridSearchCV(
        DatasetDistiller(student=SVC(), **{**SHORT, "max_iter": 5}),
        {"student__gamma": [1e6, "scale"]}, cv=2,
    ).fit(*hard)  # fmt: skip
    assert search.best_params_ == {"student__gamma": "scale"}


@pytest.mark.parametrize(
    ("student", "error", "message"),
    [
        (SVC(kernel="poly"), ValueError, "has kernel='poly', but .* only as 'rbf' or 'linear'"),
        ([], ValueError, "student is an empty list"),
        ([[NEAREST]], TypeError, "must be one list of models and nets"),
        ([NEAREST, None], TypeError, "must be one list of models and nets"),
        (Ridge(), ValueError, "because y is multiclass. Take a classifier"),
        (RidgeClassifier(alpha=[1, 2]), ValueError, "alpha=.* must be one number"),
        (HistGradientBoostingClassifier(), ValueError, "cannot split 3 distilled samples"),
        (LogisticRegressionCV(), TypeError, "no differentiable counterpart"),
        (LinearSVC(loss="hinge"), ValueError, "has loss='hinge'"),
        (
            [NeuralNetClassifier(MLP, optimizer=torch.optim.Adam), MLP],
            ValueError,
            "nets with different optimisers",
        ),
    ],
)
def test_what_cannot_be_a_student_is_named(hard, student, error, message):
    with pytest.raises(error, match=message):
        fitted(student, hard)


def test_a_model_that_cannot_learn_from_so_few_samples_says_so_before_the_fit(hard):
    with pytest.raises(ValueError, match="n_neighbors") as caught:
        fitted(KNeighborsClassifier(), hard, max_time=600, max_iter=None)
    assert "cannot learn from 3 distilled samples" in caught.value.__notes__[0]


def test_labels_that_are_numbers_are_for_nets(hard):
    with pytest.raises(ValueError, match=r"labels='free' are for nets alone"):
        fitted(LogisticRegression(), hard, labels="free")


def test_a_list_of_one_student_is_that_student(hard, tmp_path):
    distiller = fitted([KNeighborsClassifier(3)], hard, n_per_class=2, max_iter=1)
    save_distilled(tmp_path / "set", distiller)
    student = load_distilled(tmp_path / "set").train()
    assert student[-1].n_neighbors == distiller.student_[-1].n_neighbors == 3


def test_nets_of_several_widths_have_a_method_each(hard):
    students = [MLP, partial(MLP, width=16), NEAREST]
    distiller = fitted(students, hard, method="ridge", max_iter=12)
    assert distiller.evaluate(*hard, n_inits=2).scores.min() > 0.4


def test_a_file_that_cannot_hold_an_argument_knows_no_model(hard, tmp_path):
    distiller = fitted(KNeighborsClassifier(1), hard, max_iter=1)
    distiller.recipe_.description["student_arguments"]["algorithm"] = "RandomState"
    save_distilled(tmp_path / "set", distiller)
    assert load_distilled(tmp_path / "set").recipe.chosen() is None


def test_a_model_draws_no_weights(hard):
    with pytest.raises(ValueError, match="init must be 'random' unless student is one net"):
        fitted(NEAREST, hard, init="fixed")
    with pytest.raises(ValueError, match="init must be 'random' unless student is one net"):
        fitted([NEAREST, MLP], hard, init="fixed")


def test_a_net_needs_steps(hard):
    with pytest.raises(ValueError, match=r"n_epochs=0 .* takes gradient steps"):
        fitted(MLP, hard, n_epochs=0)
    assert fitted(NEAREST, hard, n_epochs=0, max_iter=1).lrs_.shape == (0, 1)


def test_a_plan_of_a_model_can_be_passed_back(hard):
    first = fitted(NEAREST, hard, max_iter=3)
    again = DatasetDistiller(**{**first.plan_, "random_state": 0}).fit(*hard)
    assert_array_equal(again.X_syn_, first.X_syn_)


def test_a_distiller_that_is_not_fitted_says_so(hard):
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(DatasetDistiller(student=NEAREST), method)(hard[0])


def test_probabilities_are_there_if_the_model_has_them(hard):
    assert_allclose(fitted(NEAREST, hard, max_iter=1).predict_proba(hard[0]).sum(1), 1)
    assert not hasattr(fitted(SVC(), hard, max_iter=1), "predict_proba")


@pytest.mark.parametrize("student", REGRESSORS, ids=lambda m: type(m).__name__)
def test_a_regressor_predicts_in_the_units_of_y(hard, student):
    X, y = hard[0][:, 1:], 1000 + 100 * hard[0][:, 0] + 300 * hard[0][:, 1]
    distiller = DatasetDistillerRegressor(10, student=student, **SHORT).fit(X, y)
    assert distiller.predict(X).shape == y.shape
    assert distiller.score(X, y) == pytest.approx(distiller.evaluate(X, y, n_inits=1).mean)
    assert distiller.score(X, y) > 0.2


def test_a_warm_start_goes_on_with_a_model(hard):
    distiller = fitted([NEAREST, LogisticRegression()], hard, max_iter=2, warm_start=True)
    before = distiller.X_syn_
    assert_allclose(distiller.set_params(outer_lr=1e-9).fit(*hard).X_syn_, before, atol=1e-5)


def test_an_objective_may_be_negative(hard):
    def negative(outputs, y):
        return F.cross_entropy(outputs, y) - 10

    distiller = fitted([NEAREST, LogisticRegression()], hard, objective=negative)
    assert np.mean(distiller.history_["loss"][-10:]) < distiller.history_["loss"][0] < 0


def test_a_model_that_says_nothing_is_not_dead(hard):
    constant = LogisticRegression(C=1e-9)
    assert not any(fitted(constant, hard, max_iter=25).history_["dead_share"])


def test_compare_scores_the_models_that_a_set_was_learned_for(hard):
    distiller = fitted([NEAREST, SVC(), net()], hard, max_iter=3)
    table, _ = compare(
        distiller, *hard, *hard, models={}, n_inits=2, n_full=1, full_epochs=1,
        baselines=all_baselines(distiller, ["fixed"], n_random=1, n_sets=2)[:2],
    )  # fmt: skip
    assert {"KNeighborsClassifier", "SVC"} < set(table["model"])
    assert np.isfinite(table["mean"]).all()


def test_a_baseline_serves_one_net(hard):
    with pytest.raises(TypeError, match="must be one net, for which a baseline"):
        RandomSamples(student=NEAREST).fit(*hard)


def test_what_needs_a_net_says_so(hard):
    distiller = fitted(NEAREST, hard, max_iter=1)
    with pytest.raises(TypeError, match="must be one net here"):
        attack_report(distiller, *hard, TargetedAttack(0, 1))


def test_a_model_without_a_counterpart_is_refused_with_those_that_have_one(hard):
    from sklearn.gaussian_process import GaussianProcessClassifier

    with pytest.raises(TypeError, match=r"no differentiable counterpart.*Take one of .*SVC"):
        fitted(GaussianProcessClassifier(), hard)
