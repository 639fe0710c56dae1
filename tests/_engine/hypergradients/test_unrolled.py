"""The hypergradient is exact: it equals the reference, finite differences and each init alone."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd._engine import Adam, Momentum, Unrolled, naive_hypergradient

from ..problems import (
    Problem,
    Signed,
    WithSpare,
    assert_equal,
    assert_same,
    leaves_of,
    mean_of,
    mlp,
    naive_loop,
    outer_loss,
    relative_error,
)


def test_it_equals_the_reference(problem, optimizer):
    outer = problem.outer(optimizer=optimizer)
    assert_same(Unrolled()(outer), naive_hypergradient(outer), 1e-10)


@pytest.mark.slow
def test_it_passes_gradcheck(problem, optimizer):
    names = "x", "y", "lrs"
    loss = outer_loss(Unrolled(), problem, *names, optimizer=optimizer)
    assert gradcheck(loss, leaves_of(problem, *names), eps=1e-6, atol=1e-7, rtol=1e-5)


def test_stacked_inits_equal_one_after_the_other(problem, optimizer):
    together = Unrolled()(problem.outer(optimizer=optimizer))
    alone = [{name: p[None] for name, p in init.items()} for init in problem.each_init()]
    apart = [Unrolled()(problem.outer(optimizer=optimizer, params=params)) for params in alone]
    assert_same(together, mean_of(apart))
    assert_same(together, Unrolled()(problem.outer(optimizer=optimizer, stackable=False)))


@pytest.mark.parametrize("micro_batch", [1, 3, 7, 100])
def test_micro_batches_change_nothing(problem, micro_batch):
    found = Unrolled(micro_batch=micro_batch)(problem.outer())
    assert_same(found, Unrolled()(problem.outer()))


def test_an_outer_pass_in_half_precision_is_near(problem):
    """And all that it returns is as precise as what it was given."""
    exact = Unrolled()(problem.outer())
    single = {name: getattr(problem, name).float() for name in ("x", "y", "lrs")}
    single["params"] = {name: p.float() for name, p in problem.params.items()}
    single["real"] = problem.real[0].float(), problem.real[1]
    half = Unrolled(outer_dtype=torch.bfloat16)(problem.outer(**single))
    for part, expected in zip(half, exact, strict=True):
        assert part.dtype == torch.float32
        assert 1e-5 < relative_error(part.double(), expected) < 3e-2


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float32, torch.int8])
def test_an_outer_pass_in_no_half_precision_is_refused(dtype):
    with pytest.raises(ValueError, match="outer_dtype must be"):
        Unrolled(outer_dtype=dtype)


@pytest.mark.parametrize("segment", [1, 2, 4, 6, 100])
def test_segments_change_nothing(problem, segment, optimizer):
    outer = problem.outer(optimizer=optimizer)
    assert_same(Unrolled(segment=segment)(outer), Unrolled()(outer))


@pytest.mark.parametrize("memory", [1, 1_000, 3_000, 10_000])
def test_kept_graphs_equal_rebuilt_ones(problem, memory, optimizer):
    outer = problem.outer(optimizer=optimizer)
    assert_same(Unrolled(memory=memory)(outer), Unrolled(memory=1 << 30)(outer))


@pytest.mark.parametrize("window", [6, 7], ids=["all", "more than all"])
def test_a_window_of_all_steps_is_exact(problem, window):
    assert problem.lrs.numel() == 6
    assert_same(Unrolled(window=window)(problem.outer()), Unrolled()(problem.outer()))


def test_a_window_sees_its_own_steps_only(optimizer):
    """Its gradient is the naive one of a training that ends with it and starts to count there."""
    problem, width = mlp(), 2
    ends = set()
    for seed in range(20):
        outer = problem.outer(optimizer=optimizer, seed=seed)
        found = Unrolled(window=width)(outer)
        moved = found.lrs.flatten().nonzero().flatten().tolist()
        assert len(moved) == width
        assert moved[-1] - moved[0] == width - 1
        end = moved[-1] + 1
        ends.add(end)
        assert_same(found, naive_hypergradient(outer, first=end - width, end=end), 1e-10)
    assert ends == set(range(width, problem.lrs.numel() + 1))


def test_no_momentum_is_gradient_descent(problem):
    found = Unrolled()(problem.outer(optimizer=Momentum(0.0)))
    assert_same(found, Unrolled()(problem.outer()))


def test_adam_stands_a_gradient_of_zero():
    """As behind units that are never active."""
    problem = mlp()
    nothing = {name: torch.zeros_like(p) for name, p in problem.params.items()}
    found = Unrolled()(problem.outer(optimizer=Adam(), params=nothing))
    assert all(part.isfinite().all() for part in found)


@pytest.mark.parametrize("module", [WithSpare, Signed])
def test_a_parameter_without_a_gradient_has_no_say(module, optimizer):
    problem = Problem(module(), (5,))
    found = Unrolled()(problem.outer(optimizer=optimizer))
    assert_same(found, naive_loop(problem, optimizer), 1e-10)


def test_a_student_with_a_spare_parameter_learns_as_one_without(optimizer):
    class Spared(torch.nn.Linear):
        def __init__(self):
            super().__init__(5, 3)
            self.spare = torch.nn.Parameter(torch.ones(2))

    problem, plain = Problem(Spared(), (5,)), Problem(torch.nn.Linear(5, 3), (5,))
    plain.params = {name: problem.params[name] for name in ("weight", "bias")}
    same_data = {name: getattr(problem, name) for name in ("x", "y", "lrs", "real")}
    expected = Unrolled()(plain.outer(optimizer=optimizer, **same_data))
    assert_same(Unrolled()(problem.outer(optimizer=optimizer)), expected)


@pytest.mark.parametrize("name", ["window", "micro_batch", "segment"])
def test_a_number_that_is_not_positive_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be an int of at least 1, or None, got -1"):
        Unrolled(**{name: -1})


def test_no_graph_outlives_the_call(problem, optimizer):
    problem.x.requires_grad_()
    assert not any(t.requires_grad for t in Unrolled()(problem.outer(optimizer=optimizer)))


@torch.no_grad()
def test_it_differentiates_also_without_gradients(problem, optimizer):
    outer = problem.outer(optimizer=optimizer)
    assert_same(Unrolled()(outer), naive_hypergradient(outer), 1e-10)


def test_nothing_is_changed(problem, optimizer):
    before = [t.clone() for t in problem.inputs()]
    Unrolled()(problem.outer(optimizer=optimizer))
    assert_equal(problem.inputs(), before)
