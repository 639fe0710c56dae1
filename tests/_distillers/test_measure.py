"""Samples and step sizes to start from: those from which students learn best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd import MLP
from sklearn_dd._distillers import measure
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.plan import is_open
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._distillers.start import starting_set
from sklearn_dd._engine import Stream, draw, fold
from sklearn_dd._evaluation import Training

from ..helpers import net, tiny, tiny_regressor

KINDS = "kmeans", "mean", "real", "herding", "kcenters"
DESCENT, ADAM = (0.03, 0.1, 0.3, 1.0), (0.001, 0.003, 0.01)
OPEN = {"data_init": "auto", "distill_lr": None}
LONG = {**OPEN, "max_iter": 1000}  # in few iterations, samples learn little


class Cubic(nn.Linear):
    """A student that diverges where steps are long."""

    def __init__(self):
        super().__init__(13, 3)

    def forward(self, x):
        return super().forward(3 * x) ** 3


def problem_of(distiller, X, y, seed=0):
    return Problem.from_parameters(distiller, X, y, None, seed, None)


def start_of(problem, kind):
    p = problem.parameters
    return starting_set(
        problem.real, problem.training.rows, problem.recipe.units,
        np.random.default_rng(fold(problem.seed, Stream.START)),
        data_init=kind, schedule=(p.n_epochs, p.n_steps), lr=1.0, labels=p.labels,
    )  # fmt: skip


def naive_loss(problem, start, size, rows=None):
    """The mean loss on training samples of four students, each trained by a plain loop."""
    x, y = (t.detach() for t in (start.x, start.y))
    rows, module = problem.training.rows if rows is None else rows, problem.spec()
    real_x = problem.recipe.units(torch.tensor(np.float32(problem.real.X[rows])))
    real_y = torch.tensor(problem.real.y[rows])
    params = draw(problem.training_prior, range(4), problem.seed, Stream.START)
    total = 0.0
    for i in range(4):
        theta = {name: p[i].clone().requires_grad_() for name, p in params.items()}
        n_epochs, n_steps = start.lrs.shape
        for t in range(n_epochs * n_steps):
            outputs = functional_call(module, theta, (x[t % n_steps],))
            if real_y.ndim == 1:
                loss = F.cross_entropy(outputs, y[t % n_steps])
            else:
                loss = F.mse_loss(outputs, y[t % n_steps])
            found = torch.autograd.grad(loss, list(theta.values()))
            theta = {
                name: (p - size * g).detach().requires_grad_()
                for (name, p), g in zip(theta.items(), found, strict=True)
            }
        outputs = functional_call(module, theta, (real_x,)).detach()
        # Each part of the samples counts alike: there are as many in each, but for one.
        each = (
            F.cross_entropy(outputs, real_y, reduction="none")
            if real_y.ndim == 1
            else (outputs - real_y).square().mean(1)
        )
        total += np.mean([float(each[k::16].mean()) for k in range(16)]) / 4
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [tiny, tiny_regressor])
@pytest.mark.parametrize("n_epochs", [1, 20])
def test_the_chosen_start_is_the_best_for_steps_that_teach(table, make, n_epochs, seed):
    X, y = (table[0], table[1]) if make is tiny else (table[0][:, 1:], table[0][:, 0])
    problem = problem_of(make(n_epochs=n_epochs, **LONG), X, y, seed)
    distilled, fallback, *_ = first_set(problem, None)
    plan = problem.parameters.plan

    found = {
        (kind, size): naive_loss(problem, start_of(problem, kind), size)
        for kind in KINDS
        for size in DESCENT
    }
    outputs_of_0 = np.log(3) if make is tiny else np.square(problem.real.y).mean()
    best = min(found.values())
    enough = best + max(0, outputs_of_0 - best) / 2
    able = [c for c in found if found[c] <= enough and c[1] <= 0.3] or [min(found, key=found.get)]
    assert plan["distill_lr"] == max(size for _, size in able)
    best_for_it = min(found[c] for c in able if c[1] == plan["distill_lr"])
    # One centre of all is their mean, but for rounding.
    assert found[plan["data_init"], plan["distill_lr"]] == pytest.approx(best_for_it, rel=1e-5)
    # What is chosen is what the fit starts from, and what naming it gives.
    chosen = start_of(problem, plan["data_init"])
    assert torch.equal(distilled.x, chosen.x)
    assert torch.equal(distilled.y, chosen.y)
    torch.testing.assert_close(distilled.lrs, torch.full_like(chosen.lrs, plan["distill_lr"]))
    named = {name: plan[name] for name in LONG}
    again, *_ = first_set(problem_of(make(n_epochs=n_epochs, **named), X, y, seed), None)
    assert all(map(torch.equal, distilled.snapshot(), again.snapshot()))
    # The fallback is the best of all.
    size = float(fallback.lrs.detach()[0, 0])
    assert naive_loss(problem, fallback, size) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_few_iterations_start_from_what_is_best_without_learning(table, seed):
    first, fallback, *_ = first_set(problem_of(tiny(n_epochs=10, **OPEN), *table, seed), None)
    assert all(map(torch.equal, first.snapshot(), fallback.snapshot()))


def test_where_all_diverge_steps_are_short(table):
    class Quintic(Cubic):
        def forward(self, x):
            return 1e9 * super().forward(x)

    problem = problem_of(tiny(student=Quintic, n_epochs=10, **LONG), *table)
    first_set(problem, None)
    assert problem.parameters.plan["distill_lr"] == DESCENT[0]


def test_the_choice_depends_on_the_schedule(table):
    X, y = table[0][:, 1:], table[0][:, 0]
    sizes = []
    for n_epochs in (1, 10):
        settings = {"n_samples": 3, "n_epochs": n_epochs, "distill_lr": None}
        problem = problem_of(tiny_regressor(**settings), X, y)
        first_set(problem, None)
        sizes.append(problem.parameters.plan["distill_lr"])
    assert sizes[0] != sizes[1]


def test_steps_of_adam_are_shorter(table):
    student = net().set_params(optimizer=torch.optim.Adam)
    problem = problem_of(tiny(student=student, distill_lr=None), *table)
    first_set(problem, None)
    assert problem.parameters.plan["distill_lr"] in ADAM


@pytest.mark.parametrize(
    ("changes", "n_measured"),
    [
        ({"data_init": "real", "distill_lr": 0.05}, 0),
        ({"data_init": "noise", "distill_lr": 0.05}, 0),
        ({"data_init": "real", "distill_lr": None}, 4),
        ({"data_init": np.zeros((3, 13)), "distill_lr": None}, 4),
        ({"data_init": "auto", "distill_lr": 0.05}, 5),
        (OPEN, 20),
    ],
)
def test_what_the_user_set_is_not_measured(table, changes, n_measured, monkeypatch):
    trained = []

    class Counted(Training):
        def each_output(self, real):
            trained.append(self)
            return super().each_output(real)

    monkeypatch.setattr(measure, "Training", Counted)
    problem = problem_of(tiny(**changes), *table)
    distilled, fallback, *_ = first_set(problem, None)
    assert len(trained) == n_measured
    for name, value in changes.items():
        if name in problem.parameters.plan and not is_open(value):
            assert problem.parameters.plan[name] is value
            assert problem.parameters.plan.reasons[name] == "set"
    assert distilled.lrs.shape == fallback.lrs.shape == (3, 1)


def test_steps_with_which_students_diverge_are_not_taken(table):
    X, y = table
    problem = problem_of(tiny(student=Cubic, n_epochs=10, distill_lr=None, n_steps=1), X, y)
    found = [naive_loss(problem, start_of(problem, "kmeans"), size) for size in DESCENT]
    assert [np.isfinite(f) for f in found] == [True, True, False, False]
    _, fallback, *_ = first_set(problem, None)
    assert problem.parameters.plan["distill_lr"] in DESCENT[:2]
    assert float(fallback.lrs[0, 0]) == pytest.approx(DESCENT[int(np.argmin(found[:2]))])


def test_steps_of_adam_are_those_that_teach_most(table):
    """Longer ones would kill students."""
    student = net().set_params(optimizer=torch.optim.Adam)
    distilled, fallback, *_ = first_set(problem_of(tiny(student=student, **LONG), *table), None)
    assert all(map(torch.equal, distilled.snapshot(), fallback.snapshot()))


def test_where_few_samples_are_held_out_nothing_is_measured_on_them(table):
    """Other held-out samples, of the same seed and in the same places: the same choice."""
    X, y = table
    problem = problem_of(tiny(validation_fraction=0.3, standardize=False, **OPEN), X / X.max(0), y)
    rows = problem.held_out.rows
    other = X / X.max(0)
    other[rows] = np.random.default_rng(0).normal(size=(len(rows), 13))
    again = problem_of(tiny(validation_fraction=0.3, standardize=False, **OPEN), other, y)
    assert_array_equal(again.held_out.rows, rows)
    (first, *_), (second, *_) = first_set(problem, None), first_set(again, None)
    assert all(map(torch.equal, first.snapshot(), second.snapshot()))
    assert dict(problem.parameters.plan) == dict(again.parameters.plan) | {
        "student": problem.parameters.plan["student"]
    }


def test_where_enough_are_held_out_starts_are_compared_on_them():
    """They mirror those of training, so that the two disagree."""
    rng, y = np.random.default_rng(0), np.arange(600) % 3
    X = (rng.normal(size=(600, 5)) + 3 * rng.normal(size=(6, 5))[np.arange(600) % 6]).round(4)
    open_ = {"validation_fraction": 0.3, "data_init": "auto", "n_per_class": 2}
    rows = problem_of(tiny(**open_), X, y).held_out.rows
    assert len(rows) >= 100
    X[rows] *= -1
    problem = problem_of(tiny(**open_), X, y)
    assert_array_equal(problem.held_out.rows, rows)
    found = {kind: naive_loss(problem, start_of(problem, kind), 0.3, rows) for kind in KINDS}
    on_training = {kind: naive_loss(problem, start_of(problem, kind), 0.3) for kind in KINDS}
    first_set(problem, None)
    assert problem.parameters.plan["data_init"] == min(found, key=found.get)
    assert min(found, key=found.get) != min(on_training, key=on_training.get)


def test_no_student_of_the_measurement_is_one_that_the_set_is_judged_by(table):
    problem = problem_of(tiny(student=MLP), *table)
    by_stream = [
        draw(problem.prior, range(4), problem.seed, stream)["1.weight"]
        for stream in (Stream.START, Stream.HELD_OUT, Stream.EVALUATE)
    ]
    assert len({tuple(w.flatten().tolist()) for s in by_stream for w in s}) == 12


def test_measuring_takes_a_share_of_the_budget(monkeypatch):
    """With less time fewer students are compared, then fewer starts, and in the end nothing."""
    n_students = []

    def counted(prior, indices, *keys, device):
        n_students.append(len(indices))
        return draw(prior, indices, *keys, device=device)

    monkeypatch.setattr(measure, "draw", counted)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 400)), np.arange(90) % 3
    for seconds in (None, 0.12, 0.0001):
        problem = Problem.from_parameters(tiny(student=MLP, **OPEN), X, y, None, 0, seconds)
        first_set(problem, None)
        plan = problem.parameters.plan
        assert plan["data_init"] in KINDS
        assert plan["distill_lr"] in DESCENT
    assert n_students == [4, 2]
    assert "too small" in plan.reasons["data_init"]
    assert "too small" in plan.reasons["distill_lr"]
