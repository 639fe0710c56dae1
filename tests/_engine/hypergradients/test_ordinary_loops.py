"""Ordinary training loops beside the learned schedule: drawn at random, and differentiated."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd._engine import (
    SGD,
    Clipped,
    Hypergradient,
    OrdinaryLoops,
    Ridge,
    Traced,
    Unrolled,
    classification,
)
from sklearn_dd._engine.hypergradients.ordinary_loops import (
    BATCH_SIZES,
    STEP_SIZES,
    Loop,
    along,
    draw_loop,
)

from ..loops import RunningMean, random_loop, same
from ..problems import (
    Problem,
    assert_close,
    assert_equal,
    empty_memory,
    leaves_of,
    mean_of,
    mlp,
    naive_direction,
    outer_loss,
    relative_error,
    seeded,
    two_layers,
)


def drawn(length, *, seed=0, **shape):
    """A loop, and the problem that it was drawn for."""
    problem = Problem(seeded(two_layers), (5,), **shape)
    return draw_loop(problem.outer(seed=seed), length), problem


def shuffled(problem, optimizer, n_steps=5, lr=0.1):
    """A loop with mini-batches of three of the rows, in an order that repeats rows."""
    g = torch.Generator().manual_seed(1)
    n = problem.x.shape[:2].numel()
    rows = torch.cat([torch.randperm(n, generator=g) for _ in range(4)])
    lrs = lr * torch.linspace(1, 2, n_steps, dtype=problem.x.dtype)
    return Loop(optimizer, rows[: 3 * n_steps].view(n_steps, 3), lrs)


def naive_along(problem, loop):
    """The same loop, written out by hand with one graph from the rows to the outer loss."""
    x, y = leaves = leaves_of(problem, "x", "y")
    flat_x, flat_y = x.flatten(0, 1), y.flatten(0, 1)
    losses = []
    for theta in problem.each_init():
        theta = {name: p.clone().requires_grad_() for name, p in theta.items()}
        memory = empty_memory(theta)
        for t, rows in enumerate(loop.rows.tolist()):
            logits = functional_call(problem.module, theta, (flat_x[rows],))
            loss = -(flat_y[rows] * F.log_softmax(logits, -1)).sum(1).mean()
            slopes = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
            theta = {
                name: p - loop.lrs[t] * naive_direction(loop.optimizer, memory, name, slope, t)
                for (name, p), slope in zip(theta.items(), slopes, strict=True)
            }
        x_real, y_real = problem.real
        losses.append(classification(functional_call(problem.module, theta, (x_real,)), y_real))
    mean = torch.stack(losses).mean()
    dx, dy = torch.autograd.grad(mean, leaves)
    return Hypergradient(mean.detach(), dx, dy, torch.zeros_like(problem.lrs))


# The gradient of a loop


def test_the_gradient_of_a_loop_is_that_of_the_naive_loop(problem, optimizer):
    loop = shuffled(problem, optimizer)
    found = along(loop, Unrolled(), problem.outer(optimizer=optimizer))
    assert_close(found, naive_along(problem, loop), tolerance=1e-10)


@pytest.mark.parametrize("optimizer", STEP_SIZES, ids=lambda of: type(of).__name__)
def test_that_of_each_optimizer_that_is_drawn_too(optimizer):
    problem = mlp()
    loop = shuffled(problem, optimizer, lr=STEP_SIZES[optimizer][1] / 2)
    found = along(loop, Unrolled(), problem.outer(optimizer=optimizer))
    assert_close(found, naive_along(problem, loop), tolerance=1e-10)


def test_it_passes_gradcheck(optimizer):
    problem = mlp()
    loop = shuffled(problem, optimizer)
    loss = outer_loss(
        lambda outer: along(loop, Unrolled(), outer), problem, "x", "y", optimizer=optimizer
    )
    assert gradcheck(loss, leaves_of(problem, "x", "y"), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_a_call_adds_the_gradient_of_the_loop_that_it_draws():
    problem = Problem(seeded(two_layers), (5,), n_inits=2, n_steps=2, batch=10)
    for seed in range(6):
        found = OrdinaryLoops(drawn=Unrolled(), n_steps=6)(problem.outer(seed=seed))
        own = Unrolled()(problem.outer())
        other = naive_along(problem, draw_loop(problem.outer(seed=seed), 6))
        assert torch.equal(found.loss, own.loss)
        assert torch.equal(found.lrs, own.lrs)
        for part, of_own, of_loop in zip(found[1:3], own[1:3], other[1:3], strict=True):
            share = min(1.0, float(of_own.norm() / of_loop.norm()))
            assert relative_error(part, of_own + share * of_loop) < 1e-10


def test_weight_is_the_largest_norm_of_the_loops_part():
    problem = mlp()
    own = Unrolled()(problem.outer())
    norms = []
    for weight in (1e-3, 2e-3):
        found = OrdinaryLoops(weight=weight)(problem.outer())
        norms.append(float((found.x - own.x).norm() / own.x.norm()))
    assert norms == pytest.approx([1e-3, 2e-3])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loop_that_diverges_says_nothing(bad):
    problem = mlp()

    def diverges(outer):
        return Hypergradient(*(torch.full_like(part, bad) for part in outer.zeros()))

    found = OrdinaryLoops(drawn=diverges)(problem.outer())
    assert_equal(found, Unrolled()(problem.outer()))


def test_tracing_changes_nothing_and_belongs_to_one_optimizer(monkeypatch):
    monkeypatch.setattr("sklearn_dd._engine.fast.tracing.TRACE_AFTER", 5)
    problem = mlp()
    traced_student = replace(problem.student, accelerated=Traced(problem.student.optimizer))
    plain, traced = OrdinaryLoops(n_steps=30), OrdinaryLoops(n_steps=30)
    outers = [problem.outer(student=s) for s in (problem.student, traced_student)]
    for _ in range(12):
        assert_equal(traced(outers[1]), plain(outers[0]))
    assert {*traced._students, SGD()} == STEP_SIZES.keys()
    assert traced_student.accelerated.n_traced > 0
    for optimizer, student in traced._students.items():
        assert student.optimizer is student.accelerated.optimizer is optimizer
        assert student.accelerated.n_traced > 0
        assert not student.accelerated.refusals
    assert not any(student.accelerated for student in plain._students.values())


# The draw


def test_every_row_comes_once_in_each_epoch():
    for seed in range(5):
        loop, _ = drawn(40, seed=seed, n_steps=1, batch=30)
        epochs = loop.rows.flatten()
        for epoch in epochs[: len(epochs) // 30 * 30].view(-1, 30):
            assert sorted(epoch.tolist()) == list(range(30))
        assert len(loop.rows) == 40


def test_order_optimizer_step_size_and_mini_batch_vary():
    loops = [drawn(3, seed=seed, n_steps=1, batch=100)[0] for seed in range(60)]
    assert {loop.optimizer for loop in loops} == STEP_SIZES.keys()
    assert {loop.rows.shape[1] for loop in loops} == {*BATCH_SIZES}
    assert len({tuple(loop.rows[0].tolist()) for loop in loops}) == 60
    for optimizer, (low, high) in STEP_SIZES.items():
        lrs = [float(loop.lrs[0]) for loop in loops if loop.optimizer == optimizer]
        assert low <= min(lrs) < math.sqrt(low * high) < max(lrs) <= high


def test_the_learned_schedule_may_be_shuffled():
    loops = [drawn(9, seed=seed, n_steps=2, batch=3, n_epochs=4) for seed in range(40)]
    found = [(loop, problem) for loop, problem in loops if len(loop.rows) == 8]
    assert 5 < len(found) < 15
    for loop, problem in found:
        assert loop.rows.shape == (8, 3)
        assert loop.optimizer == problem.student.optimizer
        assert torch.equal(loop.lrs, problem.lrs.flatten())
        for epoch in loop.rows.view(4, 6):
            assert sorted(epoch.tolist()) == list(range(6))
    assert len({tuple(loop.rows.flatten().tolist()) for loop, _ in found}) == len(found)


def test_a_small_set_is_one_mini_batch():
    loop, _ = drawn(4, n_steps=1, batch=3)
    assert loop.rows.shape == (4, 3)


def test_the_same_seed_gives_the_same_to_the_bit():
    problem = mlp()
    first, second, other = (OrdinaryLoops()(problem.outer(seed=seed)) for seed in (1, 1, 2))
    assert_equal(first, second)
    assert not torch.equal(first.x, other.x)


def test_processes_that_share_the_students_draw_the_same_loop():
    problem, method = Problem(seeded(two_layers), (5,), n_inits=2), OrdinaryLoops(weight=1e9)
    parts = [
        method(problem.outer(params={name: p[i : i + 1] for name, p in problem.params.items()}))
        for i in range(2)
    ]
    assert_close(method(problem.outer()), mean_of(parts))


# State


def test_a_resumed_run_is_the_same_to_the_bit():
    def method():
        return OrdinaryLoops(Clipped(RunningMean(), 0.5), drawn=Clipped(Unrolled(window=2)))

    whole, resumed = (random_loop(method=method()) for _ in range(2))
    states = [whole.state_dict() for _ in whole]
    resumed.load_state_dict(states[2])
    list(resumed)
    assert {"estimator.mean", "estimator.drawn/clipped/usual"} <= states[2].keys()
    assert same(resumed.state_dict(), states[-1])


def test_a_pool_of_students_goes_along():
    first, second = OrdinaryLoops(Ridge()), OrdinaryLoops(Ridge())
    first(mlp().outer())
    second.load_state_dict(first.state_dict())
    assert second.method.pool.keys() == first.method.pool.keys()


def test_inputs_are_left_as_they_are(problem):
    before = [t.clone() for t in problem.inputs()]
    found = OrdinaryLoops(n_steps=5)(problem.outer())
    assert all(map(torch.equal, before, problem.inputs()))
    assert not any(part.requires_grad for part in found)


@pytest.mark.parametrize(
    "bad",
    [{"n_steps": 0}, {"n_steps": 1.5}, {"weight": 0}, {"weight": -1.0}, {"weight": math.nan}],
    ids=str,
)
def test_bad_values_are_refused(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
        OrdinaryLoops(**bad)
