"""The pull-back of a step is what autograd finds through the step's own formula."""

from __future__ import annotations

import torch

from sklearn_dd._engine import SGD, Adam, as_leaves
from sklearn_dd._engine.carry import flat, like

from .problems import Problem, Signed, WithSpare, assert_equal, mlp


def one_step(problem: Problem, optimizer):
    """A carry whose state is not 0, and a step from it."""
    (init,) = problem.each_init()
    start = optimizer.start(init)
    step = problem.x[1], problem.y[1], problem.lrs[0, 1]
    loss = problem.student.inner_loss
    return loss, optimizer.step(loss, start, (problem.x[0], problem.y[0], problem.lrs[0, 0])), step


def by_formula(optimizer, loss, carry, step, cotangent):
    """The carry after a step, and Σ vᵀ∂, with one graph through gradient and update."""
    before = tuple(as_leaves(part) for part in carry)
    x, y, lr = leaves = [part.clone().requires_grad_() for part in step]
    params = before[0]
    gradient = torch.autograd.grad(
        loss(params, x, y), list(params.values()), create_graph=True, materialize_grads=True
    )
    after = optimizer.update(before, dict(zip(params, gradient, strict=True)), lr)
    inputs = [*flat(before), *leaves]
    pulled = torch.autograd.grad(flat(after), inputs, cotangent, materialize_grads=True)
    return [t.detach() for t in flat(after)], pulled


def assert_step_and_pull_back(problem: Problem, optimizer) -> None:
    loss, carry, step = one_step(problem, optimizer)
    cotangent = [torch.randn_like(t) for t in flat(carry)]
    expected, pulled = by_formula(optimizer, loss, carry, step, cotangent)
    after, pull_back = optimizer.record(loss, carry, step)
    found = pull_back([t.clone() for t in cotangent])
    torch.testing.assert_close(flat(after), expected, rtol=1e-12, atol=1e-15)
    parts = [torch.zeros_like(t) if part is None else part for part, t in zip(
        [*found.carry, found.x, found.y, found.lr], [*flat(carry), *step], strict=True
    )]  # fmt: skip
    torch.testing.assert_close(parts, list(pulled), rtol=1e-10, atol=1e-14)
    assert any(part.any() for part in parts)


def test_it_equals_autograd_through_the_formula(problem, optimizer):
    problem.params = {name: p[:1] for name, p in problem.params.items()}
    assert_step_and_pull_back(problem, optimizer)


def test_parameters_without_a_gradient_pass_their_cotangent_on(optimizer):
    for module in (WithSpare(), Signed()):
        assert_step_and_pull_back(Problem(module, (5,)), optimizer)


def test_stacked_students_are_pulled_back_each_on_its_own(optimizer):
    problem = mlp()
    (init,) = problem.each_init()
    stacked = {name: torch.stack([p, -p]) for name, p in init.items()}
    step = problem.x[0], problem.y[0], problem.lrs[0, 0]
    loss = problem.student.inner_loss

    def pulled(params):
        after, pull_back = optimizer.record(loss, optimizer.start(params), step)
        found = pull_back([torch.ones_like(t) for t in flat(after)])
        return found.carry[: len(params)], [found.x, found.y, found.lr]

    together, of_step = pulled(stacked)
    alone = [pulled(init), pulled({name: -p for name, p in init.items()})]
    for found, *parts in zip(together, *(of_params for of_params, _ in alone), strict=True):
        torch.testing.assert_close(found, torch.stack(parts), rtol=1e-10, atol=1e-13)
    for found, *parts in zip(of_step, *(rest for _, rest in alone), strict=True):
        torch.testing.assert_close(found, sum(parts), rtol=1e-10, atol=1e-13)


def test_a_recorded_step_is_the_plain_step_and_changes_nothing(problem, optimizer):
    problem.params = {name: p[:1] for name, p in problem.params.items()}
    loss, carry, step = one_step(problem, optimizer)
    before = [t.clone() for t in (*flat(carry), *step)]
    after, _ = optimizer.record(loss, carry, step)
    assert_equal((*flat(carry), *step), before)
    assert not any(t.requires_grad for t in flat(after))
    copy = like(carry, [t.clone() for t in flat(carry)])
    plain = flat(optimizer.step(loss, copy, step))
    torch.testing.assert_close(flat(after), plain, rtol=1e-12, atol=1e-14)


def test_flat_and_like_are_inverse():
    params = {"a": torch.ones(2), "b": torch.zeros(())}
    for optimizer in (SGD(), Adam()):
        carry = optimizer.start(params)
        again = like(carry, flat(carry))
        assert [list(part) for part in again] == [list(part) for part in carry]
        assert_equal(flat(again), flat(carry))
