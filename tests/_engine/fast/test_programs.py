"""Straight-line programs do what their function does, without redundant operations."""

from __future__ import annotations

import operator

import pytest
import torch
from torch.utils._pytree import tree_leaves

from sklearn_dd._engine.fast import programs
from sklearn_dd._engine.private_torch import fake_graph

aten = torch.ops.aten


def as_program(function, *inputs):
    """The operations of ``function`` in a program of it, and what the program returns."""
    module = fake_graph(function, *inputs)
    arguments, outputs = programs.ends(module)
    body = programs.needed(tree_leaves(outputs), programs.operations(module))
    program = programs.program(module, arguments, body, outputs, programs.torchs_own)
    return [n.target for n in program.__self__.graph.nodes if n.op == "call_function"], program


def test_zeros_and_double_transposes_are_left_out():
    def function(x):
        zeros = torch.zeros_like(x) + torch.zeros(2, 3)
        return ((zeros + x.t().t().exp()) + zeros).sin()

    x = torch.randn(2, 3)
    operations, program = as_program(function, x)
    assert operations == [torch.exp, torch.sin]
    assert torch.equal(program(x), function(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, zeros: (y := x.exp(), (zeros + y).mul_(2).sin(), y.sin())[1:],
        lambda x, zeros: ((y := x.exp()), (z := zeros + y), y[0].mul_(2), z.sin())[3],
        lambda x, zeros: ((y := x.exp()), (z := zeros + y.view(2, 3)), y.mul_(2), z.sin())[3],
        lambda x, zeros: (torch.zeros(4, 2, 3) + x.exp()).sin(),
        lambda x, zeros: (torch.zeros(2, 3, dtype=torch.float64) + x.exp()).sin(),
        lambda x, zeros: (zeros + x.t().exp().contiguous().t()).sin(),
        lambda x, zeros: (zeros[0].add_(x[1]), (zeros + x.exp()).sin())[1],
        lambda x, zeros: torch.add(zeros, x.exp(), alpha=2).sin(),
        lambda x, zeros: (zeros + 1).sin(),
        lambda x, zeros: (zeros + x).sin(),
        lambda x, zeros: zeros + x.exp(),
    ],
    ids=[
        "sum changed", "part changed", "seen part changed", "shape", "type", "order of memory",
        "zeros changed", "factor", "number", "given", "given away",
    ],
)  # fmt: skip
def test_a_sum_with_zeros_stays_where_it_is_more_than_its_other_summand(function):
    def with_zeros(x):
        return function(x, torch.zeros_like(x))

    x = torch.randn(2, 3)
    operations, program = as_program(with_zeros, x)
    assert torch.add in operations
    for found, expected in zip(tree_leaves(program(x)), tree_leaves(with_zeros(x)), strict=True):
        assert torch.equal(found, expected)
        assert (found.dtype, found.stride()) == (expected.dtype, expected.stride())


@pytest.mark.parametrize(
    ("operation", "function"),
    [
        (aten.add.Tensor, torch.add),
        (aten.view.default, torch.Tensor.view),
        (aten.sub_.Tensor, torch.Tensor.sub_),
        (aten.threshold_backward.default, aten.threshold_backward.default),
        (aten.index_put.default, aten.index_put.default),  # torch's own takes no None
        (aten.block_diag.default, aten.block_diag.default),  # torch's is not one of those in C
        (operator.getitem, operator.getitem),
    ],
    ids=lambda f: f.__name__,
)
def test_operations_are_called_by_torchs_own_functions(operation, function):
    assert programs.torchs_own(operation) == function


def test_detached_copies_and_repeated_transposes_are_left_out():
    def function(x):
        return x.t().exp() + x.detach().t().sin()

    x = torch.randn(3, 3)
    operations, program = as_program(function, x)
    assert operations == [torch.t, torch.exp, torch.sin, torch.add]
    assert torch.equal(program(x), function(x))


def test_operations_that_no_output_needs_are_left_out_unless_they_have_effects():
    def function(x):
        x.cos()
        torch._assert_async(x.sum().isfinite(), "not finite")
        return x.sin()

    operations, program = as_program(function, torch.ones(2))
    assert torch.cos not in operations
    assert torch.sin in operations
    with pytest.raises(RuntimeError, match="not finite"):
        program(torch.full((2,), torch.inf))


@pytest.mark.parametrize(
    ("function", "expected"),
    [(torch.rand_like, True), (lambda x: x.bernoulli(), True), (torch.sin, False)],
    ids=["rand_like", "bernoulli", "sin"],
)
def test_random_numbers_are_noticed(function, expected):
    assert programs.draws(fake_graph(lambda x: x + function(x), torch.full((3,), 0.5))) == expected
