"""The outer loop descends, repeats itself, and survives what is not finite."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from sklearn_dd.engine import priors
from sklearn_dd.engine.distilled_set import PROBABILITIES, DistilledSet
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.outer_loop import OuterLoop, cosine

from .problems import mlp


def run(estimator=None, max_iter=30, lr=0.05, **changed):
    torch.manual_seed(0)
    p = mlp()
    distilled = DistilledSet(p.x, p.y, p.lrs, link=PROBABILITIES)
    start = distilled.snapshot()
    weights = {name: q[0] for name, q in p.params.items()}
    iterations = OuterLoop(
        distilled, estimator or Unrolled(), p.learner, priors.Pool([weights]), lambda g: p.real,
        classification, max_iter=max_iter, lr=lr, step_size_lr=lr / 5, n_inits=1, seed=0, **changed,
    )  # fmt: skip
    return distilled, start, iterations


class Sick:
    """An estimator whose calls ``bad`` are not finite."""

    def __init__(self, bad, estimator=None):
        self.bad, self.calls, self.seen = bad, 0, []
        self.estimator = estimator or Unrolled()

    def __call__(self, task):
        self.seen.append(task.x.detach().clone())
        estimate = self.estimator(task)
        self.calls += 1
        if self.calls - 1 in self.bad:
            estimate.x[0, 0, 0] = math.nan
        return estimate


def test_the_loss_falls():
    _, _, iterations = run()
    losses = [iteration.loss for iteration in iterations]
    assert losses[-1] < 0.7 * losses[0]


def test_two_runs_are_the_same_to_the_bit():
    (a, _, first), (b, _, second) = run(), run()
    assert [i.loss for i in first] == [i.loss for i in second]
    assert all(torch.equal(p, q) for p, q in zip(a.free, b.free, strict=True))


def test_a_sick_iteration_is_undone_and_the_rate_halved():
    estimator = Sick({3})
    distilled, _, iterations = run(estimator, max_iter=6)
    undone = [iteration.undone for iteration in iterations]
    assert undone == [0, 0, 0, 1, 0, 0]
    assert torch.equal(estimator.seen[4], estimator.seen[2])  # back to the last sound iterate
    full = (estimator.seen[3] - estimator.seen[2]).norm()
    halved = (estimator.seen[5] - estimator.seen[4]).norm()
    assert halved < 0.7 * full
    assert all(p.isfinite().all() for p in distilled.free)


def test_it_ends_after_a_few_in_a_row():
    distilled, _, iterations = run(Sick(range(4, 100)), max_undone=3)
    undone = [iteration.undone for iteration in iterations]
    assert undone == [0, 0, 0, 0, 1, 2, 3]
    assert all(p.isfinite().all() for p in distilled.free)


def test_sick_from_the_start_changes_nothing():
    distilled, start, iterations = run(Sick(range(100)))
    assert list(iterations)[-1].undone == 5
    assert all(torch.equal(p, s) for p, s in zip(distilled.free, start, strict=True))


def test_an_inner_loop_that_diverges_is_sick():
    p = mlp()
    wild = DistilledSet(p.x, p.y, torch.full_like(p.lrs, 1e300))
    weights = {name: q[0] for name, q in p.params.items()}
    *_, last = OuterLoop(
        wild, Unrolled(), p.learner, priors.Pool([weights]), lambda g: p.real, classification,
        max_iter=9, lr=0.1, step_size_lr=0.1, n_inits=1, seed=0,
    )  # fmt: skip
    assert last.undone == 5


def test_the_gradient_is_clipped():
    (a, start, first), (b, _, second) = (run(max_iter=1, max_norm=m) for m in (1e-9, 1e9))
    list(first), list(second)
    # Adam's first step does not depend on the gradient's length, but on ε = 1e-8 it does.
    moved, free = ((d.free_x - start[0]).abs().max() for d in (a, b))
    assert moved < 0.2 * free


def test_cosine():
    assert cosine(0) == 1
    assert cosine(0.5) == pytest.approx(0.5)
    assert cosine(1) == pytest.approx(0)


def random_run(bad=(), max_iter=7, n_inits=2, link=PROBABILITIES, estimator=None, **changed):
    """A loop in which init, window and batch are drawn anew each time."""
    p = mlp()

    def build():
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()

    def sample(g):
        rows = torch.randperm(len(p.real[0]), generator=g)[:5]
        return tuple(part[rows] for part in p.real)

    return OuterLoop(
        DistilledSet(p.x, p.y, p.lrs, link=link),
        estimator or Sick(bad, Unrolled(window=2)), p.learner, priors.random(build), sample,
        classification,
        max_iter=max_iter, lr=0.05, step_size_lr=0.01, n_inits=n_inits, seed=0,
        **changed,
    )  # fmt: skip


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("bad", [(), (0, 1), (3, 4)], ids=str)
def test_a_resumed_run_is_the_same_to_the_bit(bad):
    """From before the first iteration, after each, also after an undone one, and after the last."""
    whole = random_run(bad)
    states, iterations = [whole.state_dict()], []
    for iteration in whole:
        states.append(whole.state_dict())
        iterations.append((iteration.done, iteration.loss, iteration.undone))
    for k, state in enumerate(states):
        for saved in (state, load(save(state))):  # the first shows that a state is not used up
            resumed = random_run([i - k for i in bad])
            resumed.load_state_dict(saved)
            assert same(resumed.state_dict(), state)
            assert [(i.done, i.loss, i.undone) for i in resumed] == iterations[k:]
            assert same(resumed.state_dict(), states[-1])


class Slow:
    """An estimator whose gradient for x̃ is a mean over iterations."""

    def __init__(self):
        self.mean = torch.zeros(())

    def __call__(self, task):
        estimate = Unrolled(window=2)(task)
        self.mean = 0.5 * (self.mean + estimate.x)
        return estimate._replace(x=self.mean)

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]


def test_what_an_estimator_carries_is_resumed():
    whole, resumed = (random_run(estimator=Slow()) for _ in range(2))
    states = [whole.state_dict() for _ in whole]
    resumed.load_state_dict(states[2])
    list(resumed)
    assert same(resumed.state_dict(), states[-1])


def test_a_run_that_gave_up_stays_so():
    whole, resumed = (random_run(range(100), max_undone=2) for _ in range(2))
    assert len(list(whole)) == 2
    resumed.load_state_dict(whole.state_dict())
    assert not list(resumed)


def test_a_state_of_another_set_is_refused():
    with pytest.raises(ValueError, match="state belongs to a distilled set of shapes"):
        random_run().load_state_dict(random_run(link=None).state_dict())


@pytest.mark.parametrize("max_iter", [30, math.inf])
def test_progress_drives_the_schedule_and_ends_the_loop(max_iter):
    asked = []

    def progress(i):
        asked.append(i)
        return i / 4

    timed, counted = random_run(max_iter=max_iter, progress=progress), random_run(max_iter=4)
    assert [i.loss for i in timed] == [i.loss for i in counted]
    assert same(timed.state_dict(), counted.state_dict())
    assert asked == [0, 1, 2, 3, 4]


def test_the_budget_that_is_spent_further_counts():
    slow, counted = random_run(max_iter=4, progress=lambda i: i / 30), random_run(max_iter=4)
    assert [i.loss for i in slow] == [i.loss for i in counted]
    assert same(slow.state_dict(), counted.state_dict())
