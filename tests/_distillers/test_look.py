"""How well students do that learned from the set as it is."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.metrics import accuracy_score, r2_score
from torch import nn
from torch.nn import functional as F

from sklearn_dd._data import Continuous, Multiclass, RealData, Standardize
from sklearn_dd._distillers.look import evenly, examine, looker
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._engine import Stream, draw
from sklearn_dd._student import replay_student

from ..helpers import tiny, tiny_regressor


class Fixed:
    """Students whose outputs on all samples are known."""

    student = None

    def __init__(self, *outputs):
        self.found = torch.stack([torch.as_tensor(o, dtype=torch.float32) for o in outputs])

    def each_output(self, real):
        return ((self, outputs) for outputs in self.found)


def real_of(y):
    X = np.zeros((len(y), 1), np.float32)
    units = Standardize((1,), (1,))
    return RealData(X, y, np.arange(len(y)), units, 7, torch.device("cpu"))


CLASSES, NUMBERS = Multiclass(np.arange(3)), Continuous(0.0, 1.0)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)


def test_accuracy_is_that_of_scikit_learn(logits):
    y = np.arange(50) % 3
    found = examine(Fixed(*logits), real_of(y), CLASSES, None)
    expected = fmean(accuracy_score(y, of_one.argmax(1)) for of_one in logits)
    assert found.score == pytest.approx(expected, abs=1e-12)
    assert found.dead_share == 0


def test_r2_is_that_of_scikit_learn(logits):
    y = np.random.default_rng(1).normal(size=(50, 1)).astype(np.float32)
    outputs = 0.5 * y + logits[..., :1]
    found = examine(Fixed(*outputs), real_of(y), NUMBERS, None)
    assert found.score == pytest.approx(fmean(r2_score(y, of_one) for of_one in outputs), abs=1e-5)


def test_an_objective_of_the_users_own_is_the_score(logits):
    y = np.arange(50) % 3

    def margin(outputs, y):
        return F.multi_margin_loss(outputs, y)

    found = examine(Fixed(*logits), real_of(y), CLASSES, margin)
    assert found.score == pytest.approx(-float(found.losses.mean()))


def test_losses_are_those_of_sixteen_parts(logits):
    """Each part has the mean loss of all students on every sixteenth sample."""
    y = np.arange(50) % 3
    found = examine(Fixed(*logits), real_of(y), CLASSES, None).losses
    goal = torch.tensor(y)
    by_student = (F.cross_entropy(torch.tensor(z), goal, reduction="none") for z in logits)
    each = torch.stack([*by_student])
    expected = [float(each[:, k::16].mean()) for k in range(16)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 5, 16, 17])
def test_a_part_is_never_empty(n, logits):
    found = examine(Fixed(logits[0][:n]), real_of(np.arange(n) % 3), CLASSES, None)
    assert len(found.losses) == min(n, 16)
    assert found.losses.isfinite().all()


ALIVE = np.eye(50, 3)


@pytest.mark.parametrize(
    ("outputs", "dead"),
    [
        ([ALIVE, ALIVE], 0),
        ([ALIVE, np.ones((50, 3))], 1 / 2),
        ([ALIVE, np.tile([3.0, -2.0, 1.0], (50, 1))], 1 / 2),
        ([np.full((50, 3), np.nan), np.full((50, 3), np.inf), ALIVE, ALIVE], 1 / 2),
        ([np.zeros((50, 3))] * 3, 1),
        ([np.where(np.arange(50)[:, None] == 7, np.nan, ALIVE)], 1),
    ],
    ids=["alive", "equal", "constant", "not finite", "all", "one sample"],
)
def test_students_are_dead_whose_outputs_are_constant_or_not_finite(outputs, dead):
    assert examine(Fixed(*outputs), real_of(np.arange(50) % 3), CLASSES, None).dead_share == dead


def test_a_student_that_diverged_is_right_about_nothing():
    """Although the argmax of NaN is class 0."""
    y = np.zeros(50, int)
    found = examine(Fixed(np.full((50, 3), np.nan)), real_of(y), CLASSES, None)
    assert found.score == 0
    assert found.losses.isnan().all()


def problem_of(distiller, X, y, sample_weight=None):
    return Problem.from_parameters(distiller, X, y, sample_weight, 0, None)


@pytest.mark.parametrize("make", [tiny, tiny_regressor])
def test_losses_equal_those_of_students_that_skorch_trains(table, make):
    """Four held-out students, each replayed by skorch, on the held-out samples."""
    X, y = (table[0], table[1]) if make is tiny else (table[0][:, 1:], table[0][:, 0])
    problem = problem_of(make(validation_fraction=0.3), X, y)
    distilled, *_ = first_set(problem, None)
    rows, targets = problem.held_out.rows, problem.real.targets
    found = looker(problem, distilled, rows)()

    x, labels, lrs = (t.detach() for t in (distilled.x, distilled.y, distilled.lrs))
    X_syn = problem.recipe.units.inverse(x.flatten(0, 1)).numpy()
    y_syn = targets.decode(labels.flatten(0, 1), distilled.learns_labels)
    starts = draw(problem.held_out_prior, range(4), 0, Stream.HELD_OUT)
    losses, scores = [], []
    goal = torch.tensor(problem.real.y[rows])
    for i in range(4):
        start = {name: p[i] for name, p in starts.items()}
        student = replay_student(
            problem.spec, start, problem.recipe.units, targets, X_syn, y_syn, lrs.numpy(),
            torch.device("cpu"),
        )  # fmt: skip
        with torch.no_grad():
            outputs = student.infer(torch.tensor(np.float32(X[rows])))
        if make is tiny:
            losses.append(F.cross_entropy(outputs, goal, reduction="none"))
            scores.append(student.score(X[rows].astype(np.float32), y[rows]))
        else:
            losses.append((outputs - goal).square().mean(1))
            scores.append(student.score(X[rows].astype(np.float32), y[rows]))
    each = torch.stack(losses).mean(0)
    np.testing.assert_allclose(found.losses, [each[k::16].mean() for k in range(16)], rtol=1e-4)
    assert found.score == pytest.approx(fmean(scores), abs=1e-4)


def test_a_look_sees_the_set_as_it_is_and_leaves_it(table):
    problem = problem_of(tiny(), *table)
    distilled, *_ = first_set(problem, None)
    look = looker(problem, distilled, problem.held_out.rows)
    before, first = distilled.snapshot(), look()
    assert torch.equal(look().losses, first.losses)
    assert all(torch.equal(a, b) for a, b in zip(distilled.snapshot(), before, strict=True))
    distilled.scale_step_sizes(2.0)
    assert not torch.equal(look().losses, first.losses)


def test_without_samples_there_is_no_look(table):
    problem = problem_of(tiny(validation_fraction=0), *table)
    assert looker(problem, first_set(problem, None)[0], problem.held_out.rows) is None


def test_weights_say_which_samples_are_looked_at(table):
    """One of weight 2 twice as often as one of weight 1."""
    problem = problem_of(tiny(), *table, np.arange(178) % 3)
    rows = np.arange(len(problem.real.y))
    seen = evenly(problem, rows).rows
    assert len(seen) == len(rows)
    weights = problem.real.weights
    is_heavy = weights == weights.max()
    expected = weights[is_heavy].sum() / weights.sum()
    assert weights.max() == pytest.approx(2 * weights.min())
    assert is_heavy[seen].sum() == pytest.approx(expected * len(rows), abs=5)
    rows = np.arange(178)
    assert_array_equal(evenly(problem_of(tiny(), *table), rows).rows, rows)


class Silent(nn.Linear):
    """A student whose outputs do not depend on the sample."""

    def __init__(self):
        super().__init__(13, 3)

    def forward(self, x):
        return super().forward(x * 0)


def test_a_fit_whose_students_learn_nothing_says_so(table):
    with pytest.warns(UserWarning, match=r"students learn nothing.*Lower distill_lr"):
        fitted = tiny(student=Silent, max_iter=6).fit(*table)
    assert fitted.history_["dead_share"] == [1, 1, 1]
