"""Where models learn, they choose among the sets of a fit themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from sklearn_dd import MLP, DatasetDistiller, DatasetDistillerRegressor
from sklearn_dd._distillers.contest import Contest
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._student import quicker

STUDENTS = [KNeighborsClassifier(1), LogisticRegression()]


@pytest.fixture(scope="module")
def data():
    """Three classes that overlap."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    return rng.normal(size=(600, 4)) + 1.2 * np.eye(4)[y], y


def contest_of(data, student=STUDENTS, **changes):
    distiller = DatasetDistiller(2, student=student, **changes)
    problem = Problem.from_parameters(distiller, *data, None, 0, None)
    starts = first_set(problem, None)
    return Contest(problem, starts.first, starts.each), starts


def test_errors_are_those_of_the_models_on_all_real_samples(data):
    X, y = data
    contest, starts = contest_of(data)
    contest.starts = [starts.first]
    contest.begin()
    units = contest.problem.recipe.units
    z = units(torch.tensor(np.float32(X))).numpy()
    x = starts.first.x.detach().flatten(0, 1).numpy()
    labels = starts.first.y.detach().flatten(0, 1).argmax(1).numpy()
    expected = [1 - model.fit(x, labels).score(z, y) for model in STUDENTS]
    assert_allclose(contest.errors, expected, atol=1e-9)


def test_the_set_to_beat_is_the_best_start(data):
    contest, starts = contest_of(data)
    now = starts.first.snapshot()
    contest.begin()
    assert len(starts.each) == 6
    assert all(map(torch.equal, starts.first.snapshot(), now))
    errors = []
    for start in starts.each:
        starts.first.restore(start.snapshot())
        errors.append(contest._errors())
    assert_array_equal(contest.references, np.min(errors, axis=0))
    best = np.argmin([np.mean(each / contest.references) for each in errors])
    assert_array_equal(contest.errors, errors[best])
    assert (contest.gains <= 0).all()


def test_a_better_set_is_kept_and_a_worse_one_is_not(data, monkeypatch):
    contest, starts = contest_of(data)
    contest.starts = [starts.first]
    contest.begin()
    found = iter([np.array([0.5, 0.5]), np.array([0.01, 0.01]), np.array([0.1, 0.1])])
    monkeypatch.setattr(contest, "_errors", lambda: next(found))
    for done in (1, 2, 3):
        starts.first.free_x.data.fill_(done)
        contest.consider(done, 1.0)
    assert contest.best_iter == 2
    assert float(contest.best[0].flatten()[0]) == 2


def test_the_time_that_it_takes_is_a_share_of_a_limit(data, monkeypatch):
    limited, _ = contest_of(data, max_time=100)
    unlimited, _ = contest_of(data)
    for contest in (limited, unlimited):
        asked = []

        def errors(contest=contest, asked=asked):
            asked.append(1)
            contest.spent += 4.0
            return np.array([0.1, 0.1])

        monkeypatch.setattr(contest, "_errors", errors)
        contest.begin()
        n_starts = len(asked)
        contest.consider(1, seconds=20.0)
        contest.consider(2, seconds=60.0)
        if contest is limited:
            assert (n_starts, len(asked)) == (2, 3)
        else:
            assert (n_starts, len(asked)) == (6, 8)


def test_what_a_fit_returns_is_what_the_models_chose(data):
    distiller = DatasetDistiller(
        2, student=STUDENTS, max_iter=40, outer_lr=0.05, random_state=0
    ).fit(*data)
    assert distiller.gains_.shape == (2,)
    assert distiller.gains_.mean() > 0
    scores = [distiller.evaluate(*data, student=model, n_inits=1).mean for model in STUDENTS]
    problem = Problem.from_parameters(distiller, *data, None, distiller.seed_, None)
    starts = first_set(problem, None)
    contest = Contest(problem, starts.first, starts.each)
    contest.begin()
    assert_allclose(scores, 1 - contest.references + distiller.gains_, atol=1e-6)


def test_a_net_alone_holds_no_contest(data):
    assert DatasetDistiller(max_iter=1, random_state=0).fit(*data).gains_ is None


def test_nets_take_part_beside_models(data):
    students = [KNeighborsClassifier(1), MLP]
    distiller = DatasetDistiller(2, student=students, max_iter=20, random_state=0).fit(*data)
    assert distiller.gains_.shape == (2,)
    nets = DatasetDistiller(2, student=[MLP, MLP], max_iter=3, random_state=0).fit(*data)
    assert nets.gains_ is None


def test_of_equal_sets_the_later_is_kept(data, monkeypatch):
    contest, _ = contest_of(data)
    monkeypatch.setattr(contest, "_errors", lambda: np.array([0.0, 0.0]))
    contest.begin()
    contest.consider(7, 1.0)
    assert contest.best_iter == 7


def test_a_set_that_a_model_cannot_learn_from_is_not_taken(data):
    contest, starts = contest_of(data)
    contest.begin()
    starts.first.free_x.data.fill_(torch.inf)
    contest.consider(7, 1.0)
    assert contest.best_iter == 0
    assert np.isfinite(contest.errors).all()


def test_a_regression_has_one_too(data):
    X, _ = data
    distiller = DatasetDistillerRegressor(6, student=Ridge(), max_iter=20, random_state=0)
    assert distiller.fit(X[:, 1:], X[:, 0] + X[:, 1]).gains_.shape == (1,)


def test_a_contest_is_resumed_where_it_was(data, tmp_path):
    settings = {"student": STUDENTS, "random_state": 0, "outer_lr": 0.05, "max_iter": 20}
    whole = DatasetDistiller(2, **settings).fit(*data)
    file = tmp_path / "fit.checkpoint"
    stopped = DatasetDistiller(2, **settings, checkpoint=file, checkpoint_every=15).fit(*data)
    assert_array_equal(stopped.X_syn_, whole.X_syn_)
    resumed = DatasetDistiller(2, **settings).fit(*data, resume_from=file)
    assert_array_equal(resumed.X_syn_, whole.X_syn_)
    assert_array_equal(resumed.gains_, whole.gains_)


def test_boosting_of_many_classes_takes_fewer_larger_steps():
    model = GradientBoostingClassifier()
    quick = quicker(model, 10)
    assert (quick.n_estimators, quick.learning_rate) == (20, 0.5)
    assert quicker(model, 2) is model
    forest = RandomForestClassifier()
    assert quicker(forest, 10) is forest


def test_a_constant_target_is_no_trouble():
    """Its references would be 0."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    students = [Ridge(), KNeighborsRegressor(1)]
    distiller = DatasetDistillerRegressor(4, student=students, max_iter=10, random_state=0)
    assert np.allclose(distiller.fit(X, np.full(60, 3.0)).predict(X), 3)


def test_two_trees_take_part_in_each_iteration(data):
    students = [RandomForestClassifier(4), GradientBoostingClassifier(n_estimators=3)]
    distiller = DatasetDistiller(3, student=students, max_iter=6, random_state=0).fit(*data)
    assert np.all(np.array(distiller.history_["loss"]) > 0)
