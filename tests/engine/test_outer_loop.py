"""The outer loop descends, repeats itself, and survives what is not finite."""

from __future__ import annotations

import math

import pytest
import torch

from sklearn_dd.engine import priors
from sklearn_dd.engine.distilled_set import DistilledSet
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.outer_loop import cosine, outer_loop

from .problems import mlp


def run(estimator=None, max_iter=30, lr=0.05, **changed):
    torch.manual_seed(0)
    p = mlp()
    distilled = DistilledSet(p.x, p.y, p.lrs, learn_labels=True)
    start = distilled.snapshot()
    weights = {name: q[0] for name, q in p.params.items()}
    iterations = outer_loop(
        distilled, estimator or Unrolled(), p.learner, priors.fixed(weights), lambda g: p.real,
        classification, max_iter=max_iter, lr=lr, step_size_lr=lr / 5, n_inits=1, seed=0, **changed,
    )  # fmt: skip
    return distilled, start, iterations


class Sick:
    """An estimator whose calls ``bad`` are not finite."""

    def __init__(self, bad):
        self.bad, self.calls, self.seen = bad, 0, []

    def __call__(self, learner, params, x, *rest):
        self.seen.append(x.detach().clone())
        estimate = Unrolled()(learner, params, x, *rest)
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
    *_, last = outer_loop(
        wild, Unrolled(), p.learner, priors.fixed(weights), lambda g: p.real, classification,
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
    assert cosine(0, 10) == 1
    assert cosine(5, 10) == pytest.approx(0.5)
    assert cosine(10, 10) == pytest.approx(0)
