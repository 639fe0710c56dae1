"""A set is distilled for scikit-learn models, or for several students at once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from skorch import NeuralNetClassifier

from sklearn_dd import MLP, DatasetDistiller

from ..helpers import net

NEAREST = KNeighborsClassifier(1)
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
        {"student__C": [1e-6, 1.0]}, cv=2,
    ).fit(*hard)  # fmt: skip
    assert search.best_params_ == {"student__C": 1.0}


@pytest.mark.parametrize(
    ("student", "error", "message"),
    [
        (SVC(kernel="poly"), ValueError, "has kernel='poly', but .* only as 'rbf' or 'linear'"),
        ([], ValueError, "student is an empty list"),
        ([[NEAREST]], TypeError, "holds a list in a list"),
    ],
)
def test_what_cannot_be_a_student_is_named(hard, student, error, message):
    with pytest.raises(error, match=message):
        fitted(student, hard)


def test_a_model_without_a_counterpart_is_refused_with_those_that_have_one(hard):
    from sklearn.gaussian_process import GaussianProcessClassifier

    with pytest.raises(TypeError, match=r"no differentiable counterpart.*Take one of .*SVC"):
        fitted(GaussianProcessClassifier(), hard)
