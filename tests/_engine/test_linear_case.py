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

from sklearn_dd.engine.hypergradient import Task, Unrolled
from sklearn_dd.engine.inner_loop import Learner, pure, schedule, train

D = 4
THETA = torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)


def squared_loss(outputs, y):
    return ((outputs - y) ** 2).sum() / (2 * outputs.shape[-2])


LEARNER = Learner(pure(nn.Linear(D, 1, bias=False, dtype=torch.float64)), loss=squared_loss)


def mean_squared_error(outputs, y):
    return ((outputs - y) ** 2).mean()


def estimator(params, x, y, lrs, real):
    task = Task(LEARNER, params, x, y, lrs, mean_squared_error, real, torch.Generator())
    return Unrolled()(task)


def inits(n, seed):
    g = torch.Generator().manual_seed(seed)
    return {"weight": torch.randn(n, 1, D, generator=g, dtype=torch.float64)}


def error(params, x, y, lrs):
    (last,) = train(LEARNER, (params,), schedule(x, y, lrs))
    return float(((last["weight"] - THETA) ** 2).sum((1, 2)).mean())


def learn(n_samples):
    """Learn samples, targets and the step size with the engine's hypergradient."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(1, n_samples, D, generator=g, dtype=torch.float64)
    y = torch.zeros(1, n_samples, 1, dtype=torch.float64)
    lrs = torch.ones(1, 1, dtype=torch.float64)
    real = torch.eye(D, dtype=torch.float64)  # isotropic: the error in θ is the error in f
    optimizer = torch.optim.Adam([x, y, lrs], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    for i in range(800):
        estimate = estimator(inits(8, i), x, y, lrs, (real, THETA.T))
        x.grad, y.grad, lrs.grad = estimate.x, estimate.y, estimate.lrs
        optimizer.step()
        schedule.step()
    return x, y, lrs


def test_d_samples_and_one_step_suffice():
    assert error(inits(100, -1), *learn(D)) < 1e-6


@pytest.mark.parametrize("n_samples", [1, D - 1])
def test_fewer_do_not(n_samples):
    params = inits(20_000, -1)
    found = error(params, *learn(n_samples))
    assert D - n_samples - 0.1 < found < D - n_samples + 0.2  # the bound, and that it is reached


def test_the_closed_form_solution_is_a_stationary_point():
    lr = torch.full((1, 1), 0.5, dtype=torch.float64)
    x = ((D / lr).sqrt() * torch.eye(D, dtype=torch.float64))[None]
    y = x @ THETA.T
    real = (torch.randn(9, D, dtype=torch.float64), torch.zeros(9, 1, dtype=torch.float64))
    real = (real[0], real[0] @ THETA.T)
    estimate = estimator(inits(3, 0), x, y, lr, real)
    assert all(tensor.abs().max() < 1e-12 for tensor in estimate)
