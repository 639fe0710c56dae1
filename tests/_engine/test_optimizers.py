"""The inner optimisers are those of the formulas, and of torch."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd._engine import SGD, Adam, Momentum
from sklearn_dd._engine.carry import flat

from .problems import assert_equal, empty_memory, mlp, naive_direction

STEP_SIZE = torch.tensor(0.05, dtype=torch.float64)


def init():
    (params,) = mlp().each_init()
    return params


def gradients(n):
    return [{name: torch.randn_like(p) for name, p in init().items()} for _ in range(n)]


def test_updates_are_those_of_the_formulas(optimizer):
    params, memory = init(), empty_memory(init())
    carry = optimizer.start(init())
    for t, gradient in enumerate(gradients(5)):
        carry = optimizer.update(carry, gradient, STEP_SIZE)
        for name, slope in gradient.items():
            direction = naive_direction(optimizer, memory, name, slope, t)
            params[name] = params[name] - STEP_SIZE * direction
    torch.testing.assert_close(carry[0], params, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("optimizer", "torchs"),
    [
        (SGD(), torch.optim.SGD),
        (Momentum(0.7), lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.7)),
        (
            Adam((0.8, 0.95), eps=1e-12),
            lambda params, lr: torch.optim.Adam(params, lr=lr, betas=(0.8, 0.95), eps=1e-12),
        ),
    ],
    ids=["SGD", "Momentum", "Adam, small epsilon"],
)
def test_updates_are_torchs(optimizer, torchs):
    theta = {name: p.clone().requires_grad_() for name, p in init().items()}
    reference, carry = torchs(theta.values(), lr=0.05), optimizer.start(init())
    for gradient in gradients(4):
        for name, p in theta.items():
            p.grad = gradient[name]
        reference.step()
        carry = optimizer.update(carry, gradient, STEP_SIZE)
    for name, p in theta.items():
        torch.testing.assert_close(carry[0][name], p.detach(), rtol=1e-9, atol=1e-12)
        assert not torch.allclose(p, init()[name])


def test_a_step_follows_the_gradient_of_the_inner_loss(optimizer):
    problem = mlp()
    x, y, lr = problem.x[0], problem.y[0], problem.lrs[0, 0]
    theta = {name: p.clone().requires_grad_() for name, p in init().items()}
    loss = problem.student.inner_loss(theta, x, y)
    slopes = torch.autograd.grad(loss, list(theta.values()))
    expected = optimizer.update(
        optimizer.start(init()), dict(zip(theta, slopes, strict=True)), lr
    )  # fmt: skip
    found = optimizer.step(problem.student.inner_loss, optimizer.start(init()), (x, y, lr))
    torch.testing.assert_close(flat(found), flat(expected), rtol=1e-12, atol=1e-15)


def test_adam_stands_a_gradient_of_zero_also_when_differentiated():
    params = {name: p.clone().requires_grad_() for name, p in init().items()}
    gradient = {name: torch.zeros_like(p).requires_grad_() for name, p in params.items()}
    after = Adam().update(Adam().start(params), gradient, STEP_SIZE)
    slopes = torch.autograd.grad(
        [p.sum() for p in after[0].values()], [*params.values(), *gradient.values()]
    )
    assert all(slope.isfinite().all() for slope in slopes)
    assert_equal(after[0].values(), params.values())


@pytest.mark.parametrize("eps", [0, -1e-8, float("nan")])
def test_an_epsilon_that_is_not_positive_is_refused(eps):
    with pytest.raises(ValueError, match="eps must be positive, got"):
        Adam(eps=eps)
