"""The hypergradient is exact: it equals the naive graph, finite differences and each init alone."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.inner_loop import apply_in_turn, apply_together
from sklearn_dd.engine.objectives import classification

from .problems import PROBLEMS, Problem, naive_hypergradient


@pytest.fixture(params=PROBLEMS, ids=lambda make: make.__name__)
def problem(request: pytest.FixtureRequest) -> Problem:
    torch.manual_seed(0)
    return request.param()


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert wanted.norm() > 0
    return float((found - wanted).norm() / wanted.norm())


def estimate(p: Problem, estimator: Unrolled | None = None, **changed):
    names = ("apply", "params", "x", "y", "lrs")
    arguments = [changed.get(name, getattr(p, name)) for name in names]
    return (estimator or Unrolled())(*arguments, classification, p.real)


def test_equals_the_naive_graph(problem):
    found = estimate(problem)
    wanted = naive_hypergradient(
        problem.module, problem.params, problem.x, problem.y, problem.lrs, classification,
        problem.real,
    )  # fmt: skip
    for name, a, b in zip(found._fields, found, wanted, strict=True):
        assert relative_error(a, b) < 1e-10, name


def test_gradcheck(problem):
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, lrs):
            loss, *gradient = estimate(problem, x=x, y=y, lrs=lrs)
            ctx.save_for_backward(*gradient)
            return loss

        @staticmethod
        def backward(ctx, cotangent):
            return tuple(cotangent * g for g in ctx.saved_tensors)

    leaves = [t.clone().requires_grad_() for t in (problem.x, problem.y, problem.lrs)]
    assert gradcheck(Loss.apply, leaves, eps=1e-6, atol=1e-8, rtol=1e-5)


def test_inits_at_once_equal_one_after_the_other(problem):
    n_inits = len(next(iter(problem.params.values())))
    together = estimate(problem)
    apart = [
        estimate(problem, params={name: p[i : i + 1] for name, p in problem.params.items()})
        for i in range(n_inits)
    ]
    for field in together._fields:
        mean = torch.stack([getattr(one, field) for one in apart]).mean(0)
        assert relative_error(getattr(together, field), mean) < 1e-12, field


def test_in_turn_equals_together(problem):
    together = estimate(problem, apply=apply_together(problem.module))
    in_turn = estimate(problem, apply=apply_in_turn(problem.module))
    for field, a, b in zip(together._fields, together, in_turn, strict=True):
        assert relative_error(a, b) < 1e-12, field


@pytest.mark.parametrize("micro_batch", [1, 3, 7, 100])
def test_micro_batches_change_nothing(problem, micro_batch):
    whole, cut = estimate(problem), estimate(problem, Unrolled(micro_batch=micro_batch))
    for field, a, b in zip(whole._fields, whole, cut, strict=True):
        assert relative_error(b, a) < 1e-12, field


@pytest.mark.parametrize("segment", [1, 2, 4, 6, 100])
def test_segments_change_nothing(problem, segment):
    whole, cut = estimate(problem), estimate(problem, Unrolled(segment))
    for field, a, b in zip(whole._fields, whole, cut, strict=True):
        assert relative_error(b, a) < 1e-12, field


def test_an_unused_parameter_has_no_say():
    class WithSpare(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(5, 3)
            self.spare = torch.nn.Parameter(torch.ones(2))

    p = Problem(WithSpare(), (5,))
    wanted = naive_hypergradient(
        torch.nn.Linear(5, 3), {k: p.params[k] for k in ("weight", "bias")}, p.x, p.y, p.lrs,
        classification, p.real,
    )  # fmt: skip
    for a, b in zip(estimate(p), wanted, strict=True):
        assert relative_error(a, b) < 1e-10


def test_no_graph_outlives_the_call(problem):
    problem.x.requires_grad_()
    assert not any(tensor.requires_grad for tensor in estimate(problem))


def test_nothing_is_changed(problem):
    before = [t.clone() for t in (*problem.params.values(), problem.x, problem.y, problem.lrs)]
    estimate(problem)
    after = [*problem.params.values(), problem.x, problem.y, problem.lrs]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
