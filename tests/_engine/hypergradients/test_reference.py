"""The readable reference equals a loop that shares nothing with it, and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd import methods
from sklearn_dd._engine import as_method, naive_hypergradient

from ..loops import steady_loop
from ..problems import (
    Problem,
    Signed,
    WithSpare,
    assert_close,
    assert_equal,
    assert_same,
    leaves_of,
    mlp,
    naive_loop,
    outer_loss,
)


def test_it_is_public():
    assert methods.naive_hypergradient is naive_hypergradient


def test_it_equals_a_loop_written_out_by_hand(problem, optimizer):
    found = naive_hypergradient(problem.outer(optimizer=optimizer))
    assert_same(found, naive_loop(problem, optimizer), 1e-10)


def test_it_passes_gradcheck(problem, optimizer):
    names = "x", "y", "lrs"
    loss = outer_loss(naive_hypergradient, problem, *names, optimizer=optimizer)
    leaves = leaves_of(problem, *names)
    assert gradcheck(loss, leaves, eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize(("first", "end"), [(0, 2), (1, 4), (4, 6), (5, None)])
def test_steps_before_the_first_are_given_and_those_after_the_end_not_taken(
    first, end, problem, optimizer
):
    found = naive_hypergradient(problem.outer(optimizer=optimizer), first=first, end=end)
    assert_close(found, naive_loop(problem, optimizer, first=first, end=end))
    taken = found.lrs.flatten().nonzero().flatten().tolist()
    assert taken == list(range(first, end or problem.lrs.numel()))


def test_another_objective_is_asked_of_the_trained_students(problem):
    def spread(outputs, y):
        return outputs.square().mean()

    found = naive_hypergradient(problem.outer(spread))
    assert_same(found, naive_loop(problem, objective=spread), 1e-10)


@pytest.mark.parametrize("module", [WithSpare, Signed])
def test_parameters_without_a_gradient_are_left_alone(module, optimizer):
    problem = Problem(module(), (5,))
    found = naive_hypergradient(problem.outer(optimizer=optimizer))
    assert_same(found, naive_loop(problem, optimizer), 1e-10)


def test_it_changes_nothing_and_leaves_no_graph(problem, optimizer):
    before = [t.clone() for t in problem.inputs()]
    found = naive_hypergradient(problem.outer(optimizer=optimizer))
    assert not any(part.requires_grad for part in found)
    assert_equal(problem.inputs(), before)


@torch.no_grad()
def test_it_differentiates_also_without_gradients():
    problem = mlp()
    assert_same(naive_hypergradient(problem.outer()), naive_loop_with_gradients(problem), 1e-10)


def naive_loop_with_gradients(problem):
    with torch.enable_grad():
        return naive_loop(problem)


def test_it_is_a_method_of_the_outer_loop():
    by_reference, by_method = (
        steady_loop(method, max_iter=3) for method in (naive_hypergradient, None)
    )
    losses = [[iteration.loss for iteration in loop] for loop in (by_reference, by_method)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert as_method(naive_hypergradient).learns_step_sizes


def test_students_descend_their_own_inner_loss():
    def stronger(logits, y):
        return 2 * -(y * logits.log_softmax(-1)).sum() / logits.shape[-2]

    problem = mlp()
    found = naive_hypergradient(problem.outer(loss=stronger, lrs=problem.lrs / 2))
    expected = naive_hypergradient(problem.outer())
    torch.testing.assert_close(found.x, expected.x, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.lrs, 2 * expected.lrs, rtol=1e-12, atol=0)
