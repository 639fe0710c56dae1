"""The outer loop descends, repeats itself, and survives what is not finite."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load, save

from sklearn_dd._engine import DistilledSet, OuterLoop, Pool, Unrolled, classification
from sklearn_dd._engine.outer_loop import cosine

from .loops import NotFinite, RunningMean, random_loop, same, steady_loop
from .problems import assert_equal, mlp


def test_the_loss_falls():
    losses = [iteration.loss for iteration in steady_loop()]
    assert losses[-1] < 0.7 * losses[0]


def test_two_runs_are_the_same_to_the_bit():
    first, second = steady_loop(), steady_loop()
    assert list(first) == list(second)
    assert_equal(first.distilled.free, second.distilled.free)


def test_an_iteration_that_is_not_finite_is_undone_and_the_rate_halved():
    method = NotFinite({3})
    loop = steady_loop(method, max_iter=6)
    assert [iteration.n_rejected for iteration in loop] == [0, 0, 0, 1, 0, 0]
    assert loop.learning_rates == [0.025, 0.005]
    assert torch.equal(method.seen[4], method.seen[2])  # where the gradient was last finite
    full = (method.seen[3] - method.seen[2]).norm()
    halved = (method.seen[5] - method.seen[4]).norm()
    assert halved < 0.7 * full
    assert all(p.isfinite().all() for p in loop.distilled.free)


def test_it_ends_after_a_few_in_a_row():
    loop = steady_loop(NotFinite(range(4, 100)), max_rejected=3)
    assert [iteration.n_rejected for iteration in loop] == [0, 0, 0, 0, 1, 2, 3]
    assert all(p.isfinite().all() for p in loop.distilled.free)


def test_what_is_never_finite_changes_nothing():
    loop = steady_loop(NotFinite(range(100)))
    start = loop.distilled.snapshot()
    assert list(loop)[-1].n_rejected == 5
    assert_equal(loop.distilled.free, start)


def test_an_inner_loop_that_diverges_is_undone():
    problem = mlp()
    (net,) = problem.each_init()
    *_, last = OuterLoop(
        DistilledSet(problem.x, problem.y, torch.full_like(problem.lrs, 1e300)),
        Unrolled(), problem.student, Pool([net]), lambda _: problem.real, classification,
        max_iter=9, lr=0.1, step_size_lr=0.1, n_inits=1, seed=0,
    )  # fmt: skip
    assert last.n_rejected == 5


def test_the_gradient_is_clipped():
    distances = []
    for max_norm in (1e-9, 1e9):
        loop = steady_loop(max_iter=1, max_norm=max_norm)
        start = loop.distilled.x.detach().clone()
        (iteration,) = loop
        assert iteration.gradient_norm > 1e-3  # as it was before clipping
        distances.append((loop.distilled.x - start).abs().max())
    # Adam's first step does not depend on the gradient's norm, but on ε = 1e-8 it does.
    assert 0 < distances[0] < 0.2 * distances[1]


def test_an_iteration_says_what_happened():
    loop = steady_loop(max_iter=3)
    problem, start = mlp(), loop.distilled
    expected = Unrolled()(problem.outer(x=start.x.detach(), y=start.y.detach()))
    iterations = list(loop)
    assert [iteration.done for iteration in iterations] == [1, 2, 3]
    assert iterations[0].loss == pytest.approx(float(expected.loss), rel=1e-9)


def test_learning_rates_fall_along_a_cosine():
    assert cosine(0) == 1
    assert cosine(0.5) == pytest.approx(0.5)
    assert cosine(1) == pytest.approx(0)
    loop = steady_loop(max_iter=4)
    rates = [[group["lr"] for group in loop.optimizer.param_groups] for _ in loop]
    expected = [[0.05 * cosine(i / 4), 0.01 * cosine(i / 4)] for i in range(4)]
    assert rates == [pytest.approx(pair) for pair in expected]


@pytest.mark.parametrize("bad", [(), (0, 1), (3, 4)], ids=str)
def test_a_resumed_run_is_the_same_to_the_bit(bad):
    """From before the first iteration, after each, also after an undone one, and after the last."""
    whole = random_loop(bad)
    states, iterations = [whole.state_dict()], []
    for iteration in whole:
        states.append(whole.state_dict())
        iterations.append((iteration.done, iteration.loss, iteration.n_rejected))
    for k, state in enumerate(states):
        for saved in (state, load(save(state))):  # the first shows that a state is not used up
            resumed = random_loop([i - k for i in bad])
            resumed.load_state_dict(saved)
            assert same(resumed.state_dict(), state)
            assert [(i.done, i.loss, i.n_rejected) for i in resumed] == iterations[k:]
            assert same(resumed.state_dict(), states[-1])


def test_what_a_method_carries_is_resumed():
    whole, resumed = (random_loop(method=RunningMean()) for _ in range(2))
    states = [whole.state_dict() for _ in whole]
    resumed.load_state_dict(states[2])
    list(resumed)
    assert same(resumed.state_dict(), states[-1])


def test_a_run_that_gave_up_stays_so():
    whole, resumed = (random_loop(range(100), max_rejected=2) for _ in range(2))
    assert len(list(whole)) == 2
    resumed.load_state_dict(whole.state_dict())
    assert not list(resumed)


def test_a_state_of_another_set_is_refused():
    with pytest.raises(ValueError, match="state belongs to a distilled set of shapes"):
        random_loop().load_state_dict(random_loop(parametrisation=None).state_dict())


@pytest.mark.parametrize("max_iter", [30, math.inf])
def test_progress_drives_the_schedule_and_ends_the_loop(max_iter):
    asked = []

    def progress(done):
        asked.append(done)
        return done / 4

    timed, counted = random_loop(max_iter=max_iter, progress=progress), random_loop(max_iter=4)
    assert list(timed) == list(counted)
    assert same(timed.state_dict(), counted.state_dict())
    assert asked == [0, 1, 2, 3, 4]


def test_the_budget_that_is_used_further_counts():
    slow = random_loop(max_iter=4, progress=lambda done: done / 30)
    counted = random_loop(max_iter=4)
    assert list(slow) == list(counted)
    assert same(slow.state_dict(), counted.state_dict())


def test_calm_shortens_step_sizes_and_their_rate():
    loop = steady_loop(max_iter=9)
    before, rates = loop.distilled.lrs.detach().clone(), [*loop.learning_rates]
    samples = loop.distilled.x.detach().clone()
    loop.calm()
    torch.testing.assert_close(loop.distilled.lrs, 0.75 * before)
    assert torch.equal(loop.distilled.x, samples)
    assert loop.learning_rates == [rates[0], rates[1] / 2]


def test_what_calm_did_outlasts_an_iteration_that_is_not_finite():
    loop = steady_loop(NotFinite({0}), max_iter=1)
    loop.calm()
    shortened = loop.distilled.snapshot()
    assert [iteration.n_rejected for iteration in loop] == [1]
    assert_equal(loop.distilled.free, shortened)


def test_a_retreat_returns_to_a_set_at_half_the_rates():
    loop = steady_loop(max_iter=9)
    first, rates = loop.distilled.snapshot(), [*loop.learning_rates]
    iterations = iter(loop)
    next(iterations), next(iterations)
    loop.retreat(first)
    assert_equal(loop.distilled.free, first)
    assert loop.learning_rates == [lr / 2 for lr in rates]


def test_a_restart_returns_to_a_set_at_the_first_rates():
    loop = steady_loop(max_iter=9)
    first, rates = loop.distilled.snapshot(), [*loop.learning_rates]
    next(iter(loop))
    loop.retreat(loop.distilled.snapshot())
    loop.restart(first)
    assert_equal(loop.distilled.free, first)
    assert_equal(loop.last_finite, first)
    assert loop.learning_rates == loop.highest == rates


def test_rates_that_were_lowered_rise_again_but_not_quite_to_where_they_were():
    loop = steady_loop(max_iter=9)
    rates = [*loop.learning_rates]
    loop.advance()
    assert loop.learning_rates == rates
    loop.retreat(loop.distilled.snapshot())
    lowered = [*loop.learning_rates]
    loop.advance()
    assert all(a < b < c for a, b, c in zip(lowered, loop.learning_rates, rates, strict=True))
    for _ in range(20):
        loop.advance()
    assert loop.learning_rates == pytest.approx([0.8 * lr for lr in rates])
    again = steady_loop(max_iter=9)
    again.load_state_dict(loop.state_dict())
    again.advance()
    assert again.learning_rates == loop.learning_rates
