"""The hypergradient is exact: it equals the naive graph, finite differences and each init alone."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.optimizers import SGD, Adam, Momentum

from .problems import PROBLEMS, Problem, mlp, naive_hypergradient

OPTIMIZERS = [SGD(), Momentum(0.7), Adam((0.8, 0.95), eps=1e-3)]


@pytest.fixture(params=PROBLEMS, ids=lambda make: make.__name__)
def problem(request: pytest.FixtureRequest) -> Problem:
    torch.manual_seed(0)
    return request.param()


@pytest.fixture(params=OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def optimizer(request: pytest.FixtureRequest):
    return request.param


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert wanted.norm() > 0
    return float((found - wanted).norm() / wanted.norm())


def assert_same(found, wanted, tolerance=1e-12):
    for field, a, b in zip(found._fields, found, wanted, strict=True):
        assert relative_error(a, b) < tolerance, field


def estimate(p: Problem, estimator: Unrolled | None = None, seed: int = 0, **changed):
    learner = dataclasses.replace(
        p.learner, **{k: changed.pop(k) for k in ("optimizer", "at_once") if k in changed}
    )
    return (estimator or Unrolled())(p.task(seed=seed, learner=learner, **changed))


def test_equals_the_naive_graph(problem, optimizer):
    wanted = naive_hypergradient(problem, classification, optimizer)
    assert_same(estimate(problem, optimizer=optimizer), wanted, 1e-10)


def test_gradcheck(problem, optimizer):
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, lrs):
            loss, *gradient = estimate(problem, x=x, y=y, lrs=lrs, optimizer=optimizer)
            ctx.save_for_backward(*gradient)
            return loss

        @staticmethod
        def backward(ctx, cotangent):
            return tuple(cotangent * g for g in ctx.saved_tensors)

    leaves = [t.clone().requires_grad_() for t in (problem.x, problem.y, problem.lrs)]
    assert gradcheck(Loss.apply, leaves, eps=1e-6, atol=1e-7, rtol=1e-5)


def test_inits_at_once_equal_one_after_the_other(problem, optimizer):
    n_inits = len(next(iter(problem.params.values())))
    together = estimate(problem, optimizer=optimizer)
    apart = [
        estimate(
            problem,
            nets={name: p[i : i + 1] for name, p in problem.params.items()},
            optimizer=optimizer,
        )
        for i in range(n_inits)
    ]
    assert_same(together, [torch.stack(parts).mean(0) for parts in zip(*apart, strict=True)])
    assert_same(together, estimate(problem, optimizer=optimizer, at_once=False))


@pytest.mark.parametrize("micro_batch", [1, 3, 7, 100])
def test_micro_batches_change_nothing(problem, micro_batch):
    assert_same(estimate(problem, Unrolled(micro_batch=micro_batch)), estimate(problem))


def test_an_outer_pass_in_half_precision_is_near(problem):
    """And all that it returns is as precise as what it was given."""
    exact = estimate(problem)
    single = {name: getattr(problem, name).float() for name in ("x", "y", "lrs")}
    single["nets"] = {name: p.float() for name, p in problem.params.items()}
    real = problem.real[0].float(), problem.real[1]
    half = estimate(problem, Unrolled(outer_dtype=torch.bfloat16), **single, real=real)
    for a, b in zip(half, exact, strict=True):
        assert a.dtype == torch.float32
        assert 1e-5 < relative_error(a.double(), b) < 3e-2


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float32, torch.int8])
def test_an_outer_pass_in_no_half_precision_is_refused(dtype):
    with pytest.raises(ValueError, match="outer_dtype must be"):
        Unrolled(outer_dtype=dtype)


@pytest.mark.parametrize("segment", [1, 2, 4, 6, 100])
def test_segments_change_nothing(problem, segment, optimizer):
    cut = estimate(problem, Unrolled(segment=segment), optimizer=optimizer)
    assert_same(cut, estimate(problem, optimizer=optimizer))


@pytest.mark.parametrize("memory", [1, 1_000, 3_000, 10_000])
def test_kept_graphs_equal_rebuilt_ones(problem, memory, optimizer):
    rebuilt = estimate(problem, Unrolled(memory=memory), optimizer=optimizer)
    assert_same(rebuilt, estimate(problem, Unrolled(memory=1 << 30), optimizer=optimizer))


def test_a_window_of_all_steps_is_exact(problem):
    T = problem.lrs.numel()
    assert_same(estimate(problem, Unrolled(window=T)), estimate(problem))


def test_a_window_sees_its_own_steps_only(optimizer):
    """Its gradient is the naive one of a training that ends with it and starts to count there."""
    p = mlp()
    T, W = p.lrs.numel(), 2
    ends = set()
    for seed in range(20):
        found = estimate(p, Unrolled(window=W), seed=seed, optimizer=optimizer)
        moved = found.lrs.flatten().nonzero().flatten().tolist()
        assert len(moved) == W
        assert moved[-1] - moved[0] == W - 1
        end = moved[-1] + 1
        ends.add(end)
        wanted = naive_hypergradient(p, classification, optimizer, end=end, first=end - W)
        for a, b in zip(found, wanted, strict=True):
            assert relative_error(a, b) < 1e-10
    assert ends == set(range(W, T + 1))


def test_adam_is_torchs_where_epsilon_is_small():
    p = mlp()
    theta = {name: q[0].clone().requires_grad_() for name, q in p.params.items()}
    torchs = torch.optim.Adam(theta.values(), lr=0.05, betas=(0.8, 0.95), eps=1e-12)
    ours, carry = Adam((0.8, 0.95), eps=1e-12), None
    for _ in range(4):
        for q in theta.values():
            q.grad = torch.randn_like(q)
        carry = carry or ours.start({name: q.detach().clone() for name, q in theta.items()})
        gradient = {name: q.grad for name, q in theta.items()}
        carry = ours.update(carry, gradient, torch.tensor(0.05, dtype=torch.float64))
        torchs.step()
    for name, q in theta.items():
        torch.testing.assert_close(carry[0][name], q.detach(), rtol=1e-9, atol=1e-12)


def test_no_momentum_is_gradient_descent(problem):
    assert_same(estimate(problem, optimizer=Momentum(0.0)), estimate(problem))


def test_adam_stands_a_gradient_of_zero():
    """As behind units that are never active."""
    p = mlp()
    p.params = {name: torch.zeros_like(q) for name, q in p.params.items()}
    assert all(t.isfinite().all() for t in estimate(p, optimizer=Adam()))


def test_an_unused_parameter_has_no_say(optimizer):
    class WithSpare(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(5, 3)
            self.spare = torch.nn.Parameter(torch.ones(2))

    p = Problem(WithSpare(), (5,))
    plain = copy.copy(p)
    plain.module = torch.nn.Linear(5, 3, dtype=torch.float64)
    plain.params = {name: p.params[name] for name in ("weight", "bias")}
    wanted = naive_hypergradient(plain, classification, optimizer)
    assert_same(estimate(p, optimizer=optimizer), wanted, 1e-10)


class Signed(torch.nn.Linear):
    """A bias before a sign: its gradient is 0 everywhere."""

    def __init__(self) -> None:
        super().__init__(5, 3)
        self.before = torch.nn.Parameter(torch.ones(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x + 0.1 * torch.sign(x + self.before))


def test_a_constant_gradient_has_no_say(optimizer):
    p = Problem(Signed(), (5,))
    assert_same(
        estimate(p, optimizer=optimizer),
        naive_hypergradient(p, classification, optimizer),
        1e-10,
    )


@pytest.mark.parametrize("name", ["window", "micro_batch", "segment"])
def test_a_number_that_is_not_positive_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, or None, got -1"):
        Unrolled(**{name: -1})


def test_no_graph_outlives_the_call(problem, optimizer):
    problem.x.requires_grad_()
    assert not any(t.requires_grad for t in estimate(problem, optimizer=optimizer))


def test_nothing_is_changed(problem, optimizer):
    before = [t.clone() for t in (*problem.params.values(), problem.x, problem.y, problem.lrs)]
    estimate(problem, optimizer=optimizer)
    after = [*problem.params.values(), problem.x, problem.y, problem.lrs]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
