"""The paper's linear case (Wang et al. 2018, section 3.2): a linear model with squared loss.

One step from θ_0 gives θ_1 = (I − η X̃ᵀX̃/n) θ_0 + η X̃ᵀỹ/n. To end in θ* from every θ_0 the
matrix must vanish, so X̃ needs D samples for a D-dimensional problem, and D suffice. With M < D
samples at least D − M directions of θ_0 stay as they were drawn: E‖θ_1 − θ*‖² ≥ D − M for
θ_0 ~ N(0, I).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_dd._engine import (
    OuterProblem,
    StudentFn,
    Unrolled,
    inner_steps,
    pure,
    regression,
    train,
)

D = 4
THETA = torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)


def half_squared_error(outputs, y):
    return ((outputs - y) ** 2).sum() / (2 * outputs.shape[-2])


STUDENT = StudentFn(pure(nn.Linear(D, 1, bias=False, dtype=torch.float64)), loss=half_squared_error)


def hypergradient(params, x, y, lrs, real):
    return Unrolled()(
        OuterProblem(STUDENT, params, x, y, lrs, regression, real, torch.Generator())
    )  # fmt: skip


def inits(n, seed):
    g = torch.Generator().manual_seed(seed)
    return {"weight": torch.randn(n, 1, D, generator=g, dtype=torch.float64)}


def error(params, x, y, lrs):
    """The squared distance from θ* after training, mean over the inits."""
    (last,) = train(STUDENT, (params,), inner_steps(x, y, lrs))
    return float(((last["weight"] - THETA) ** 2).sum((1, 2)).mean())


def learn(n_samples):
    """Learn samples, labels and the step size with the engine's hypergradient."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(1, n_samples, D, generator=g, dtype=torch.float64)
    y = torch.zeros(1, n_samples, 1, dtype=torch.float64)
    lrs = torch.ones(1, 1, dtype=torch.float64)
    real = torch.eye(D, dtype=torch.float64)  # isotropic: the error in θ is the error in f
    optimizer = torch.optim.Adam([x, y, lrs], lr=0.05)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    for i in range(800):
        found = hypergradient(inits(8, i), x, y, lrs, (real, THETA.T))
        x.grad, y.grad, lrs.grad = found.x, found.y, found.lrs
        optimizer.step()
        cosine.step()
    return x, y, lrs


@pytest.mark.slow
def test_as_many_samples_as_dimensions_and_one_step_suffice():
    assert error(inits(100, -1), *learn(D)) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("n_samples", [1, D - 1])
def test_fewer_samples_do_not_suffice(n_samples):
    """The error reaches the bound and does not go below it."""
    found = error(inits(20_000, -1), *learn(n_samples))
    assert D - n_samples - 0.1 < found < D - n_samples + 0.2


def test_the_closed_form_solution_is_a_stationary_point():
    lr = torch.full((1, 1), 0.5, dtype=torch.float64)
    x = ((D / lr).sqrt() * torch.eye(D, dtype=torch.float64))[None]
    y = x @ THETA.T
    x_real = torch.randn(9, D, dtype=torch.float64)
    real = x_real, x_real @ THETA.T
    found = hypergradient(inits(3, 0), x, y, lr, real)
    assert all(part.abs().max() < 1e-12 for part in found)
    elsewhere = hypergradient(inits(3, 0), x, y + 1, lr, real)
    assert elsewhere.y.abs().max() > 0.01
