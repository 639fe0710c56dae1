"""Ridge is exact: scikit-learn's regression, and finite differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from torch import nn
from torch.autograd import gradcheck

from sklearn_dd.engine.inner_loop import pure_features
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.ridge import Ridge, kernel_ridge, squared_error

from .problems import PROBLEMS, Problem


@pytest.fixture(params=PROBLEMS, ids=lambda make: make.__name__)
def problem(request: pytest.FixtureRequest) -> Problem:
    torch.manual_seed(0)
    p = request.param()
    features = pure_features(p.module, p.real[0])
    p.learner = dataclasses.replace(p.learner, features=features)
    return p


def estimate(p: Problem, ridge: Ridge | None = None, objective=classification, **changed):
    return (ridge or Ridge())(p.task(objective, **changed))


def test_the_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    x, y, x_new = rng.normal(size=(6, 9)), rng.normal(size=(6, 3)), rng.normal(size=(4, 9))
    penalty = 0.2
    wanted = KernelRidge(alpha=penalty * (x**2).sum(1).mean()).fit(x, y).predict(x_new)
    found = kernel_ridge(*(torch.from_numpy(a) for a in (x, y, x_new)), penalty)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_stacked_regressions_are_each_its_own():
    x, y, x_new = torch.randn(3, 6, 9), torch.randn(6, 2), torch.randn(3, 4, 9)
    together = kernel_ridge(x, y, x_new, 0.1)
    for i in range(3):
        torch.testing.assert_close(together[i], kernel_ridge(x[i], y, x_new[i], 0.1))


def test_features_are_the_input_of_the_last_linear_layer(problem):
    linear = [layer for layer in problem.module.modules() if isinstance(layer, nn.Linear)][-1]
    name = next(n for n, layer in problem.module.named_modules() if layer is linear)
    for i, one in enumerate(problem.learner.groups(problem.params)):
        nets = one if one[f"{name}.weight"].ndim > 2 else {n: p[None] for n, p in one.items()}
        features = problem.learner.features(nets, problem.real[0])
        logits = features @ nets[f"{name}.weight"].mT + nets[f"{name}.bias"][:, None]
        torch.testing.assert_close(logits, problem.learner.apply(nets, problem.real[0]), msg=str(i))


def test_a_network_that_does_not_end_in_a_linear_layer_has_no_features():
    net = nn.Sequential(nn.Linear(5, 3), nn.Tanh())
    assert pure_features(net, torch.zeros(2, 5)) is None


def test_gradcheck(problem):
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            loss, dx, dy, _ = estimate(problem, x=x, y=y)
            ctx.save_for_backward(dx, dy)
            return loss

        @staticmethod
        def backward(ctx, cotangent):
            return tuple(cotangent * g for g in ctx.saved_tensors)

    leaves = [t.clone().requires_grad_() for t in (problem.x, problem.y)]
    # At smaller steps, rounding errors of the regression are larger than these tolerances.
    assert gradcheck(Loss.apply, leaves, eps=1e-5, atol=1e-8, rtol=1e-5)


def test_features_that_are_all_zero_give_what_the_outer_loop_undoes():
    x = torch.zeros(3, 4, requires_grad=True)
    predicted = kernel_ridge(x, torch.ones(3, 2), torch.zeros(5, 4), 1e-3)
    assert not predicted.isfinite().any()


def test_the_loss_is_the_squared_error_of_a_regression_on_features(problem):
    losses = []
    for i in range(len(next(iter(problem.params.values())))):
        one = {name: p[i] for name, p in problem.params.items()}
        ours, theirs = (
            problem.learner.features(one, x).numpy()
            for x in (problem.x.flatten(0, 1), problem.real[0])
        )
        alpha = 1e-3 * (ours**2).sum(1).mean()
        targets = problem.y.flatten(0, 1).numpy() - 1 / 3
        predicted = KernelRidge(alpha=alpha).fit(ours, targets).predict(theirs)
        wanted = np.eye(3)[problem.real[1]] - 1 / 3
        losses.append(((predicted - wanted) ** 2).sum(1).mean())
    assert float(estimate(problem).loss) == pytest.approx(np.mean(losses), rel=1e-8)


def test_another_objective_is_asked_of_the_predictions(problem):
    def spread(outputs, y):
        return outputs.square().mean()

    assert float(estimate(problem, objective=spread).loss) < float(estimate(problem).loss)


def test_a_net_of_the_pool_grows_older_and_is_replaced():
    p = PROBLEMS[0]()
    p.learner = dataclasses.replace(p.learner, features=pure_features(p.module, p.real[0]))
    ridge = Ridge(pool_size=1, max_age=3, lr=0.1)
    losses = [float(estimate(p, ridge).loss) for _ in range(7)]
    assert losses[0] == losses[3] == losses[6]
    assert len(set(losses[:3])) == 3


def test_step_sizes_get_no_gradient(problem):
    assert not estimate(problem).lrs.any()


def test_squared_error():
    y = torch.tensor([0, 2])
    perfect = torch.eye(3)[y] - 1 / 3
    assert squared_error(perfect, y) == 0
    assert squared_error(perfect + 1, y) == pytest.approx(3)
