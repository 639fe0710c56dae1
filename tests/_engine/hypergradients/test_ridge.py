"""Ridge is exact: scikit-learn's regression, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from torch.autograd import gradcheck

from sklearn_dd._engine import Ridge, classification
from sklearn_dd._engine.hypergradients.ridge import kernel_ridge, squared_error

from ..problems import (
    Problem,
    assert_close,
    assert_equal,
    leaves_of,
    mean_of,
    mlp,
    outer_loss,
)


def regressions(problem: Problem):
    """scikit-learn's predictions for the real batch, from the features of each student."""
    labels = problem.y.flatten(0, 1).numpy() - 1 / 3
    for init in problem.each_init():
        distilled, real = (
            problem.student.features(init, x).numpy()
            for x in (problem.x.flatten(0, 1), problem.real[0])
        )
        penalty = 1e-3 * (distilled**2).sum(1).mean()
        yield KernelRidge(alpha=penalty).fit(distilled, labels).predict(real)


def test_the_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    x, y, x_new = rng.normal(size=(6, 9)), rng.normal(size=(6, 3)), rng.normal(size=(4, 9))
    penalty = 0.2
    expected = KernelRidge(alpha=penalty * (x**2).sum(1).mean()).fit(x, y).predict(x_new)
    found = kernel_ridge(*(torch.from_numpy(a) for a in (x, y, x_new)), penalty)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_stacked_regressions_are_each_its_own():
    x, y, x_new = torch.randn(3, 6, 9), torch.randn(6, 2), torch.randn(3, 4, 9)
    together = kernel_ridge(x, y, x_new, 0.1)
    for i in range(3):
        torch.testing.assert_close(together[i], kernel_ridge(x[i], y, x_new[i], 0.1))


def fresh_ridge(outer):
    """A ridge regression whose pool is empty each time."""
    return Ridge()(outer)


def test_it_passes_gradcheck(problem):
    loss = outer_loss(fresh_ridge, problem, "x", "y")
    # At smaller steps, rounding errors of the regression are larger than these tolerances.
    assert gradcheck(loss, leaves_of(problem, "x", "y"), eps=1e-5, atol=1e-8, rtol=1e-5)


def test_features_that_are_all_zero_give_what_the_outer_loop_undoes():
    x = torch.zeros(3, 4, requires_grad=True)
    predicted = kernel_ridge(x, torch.ones(3, 2), torch.zeros(5, 4), 1e-3)
    assert not predicted.isfinite().any()


def test_the_loss_is_the_squared_error_of_a_regression_on_features(problem):
    labels = np.eye(3)[problem.real[1]] - 1 / 3
    losses = [((predicted - labels) ** 2).sum(1).mean() for predicted in regressions(problem)]
    found = Ridge()(problem.outer(squared_error))
    assert float(found.loss) == pytest.approx(np.mean(losses), rel=1e-8)


def test_another_objective_is_asked_of_the_predictions(problem):
    expected = [
        float(classification(torch.from_numpy(predicted), problem.real[1]))
        for predicted in regressions(problem)
    ]
    assert float(Ridge()(problem.outer()).loss) == pytest.approx(np.mean(expected), rel=1e-8)


def test_stacked_students_equal_one_after_the_other(problem):
    """Each stack takes one place of the pool, so that the students of one place are as old."""
    together = Ridge(pool_size=1)(problem.outer())
    alone = [{name: p[None] for name, p in init.items()} for init in problem.each_init()]
    apart = [Ridge(pool_size=1)(problem.outer(params=params)) for params in alone]
    assert_close(together, mean_of(apart))


def test_a_student_of_the_pool_grows_older_and_is_replaced():
    problem = mlp()
    ridge = Ridge(pool_size=1, max_age=3, lr=0.1)
    losses = [float(ridge(problem.outer()).loss) for _ in range(7)]
    assert losses[0] == losses[3] == losses[6]
    assert len(set(losses[:3])) == 3


def test_a_pool_that_was_saved_goes_on_to_the_bit():
    problem = mlp()
    whole, resumed = (Ridge(pool_size=2, max_age=4, lr=0.1) for _ in range(2))
    for seed in range(5):
        whole(problem.outer(seed=seed))
    resumed.load_state_dict({name: t.clone() for name, t in whole.state_dict().items()})
    assert len(whole.pool) == 2
    for seed in range(5, 10):
        assert_equal(resumed(problem.outer(seed=seed)), whole(problem.outer(seed=seed)))


def test_step_sizes_get_no_gradient(problem):
    found = Ridge()(problem.outer())
    assert found.lrs.shape == problem.lrs.shape
    assert not found.lrs.any()
    assert found.x.any()


def test_no_graph_outlives_the_call_and_nothing_is_changed(problem):
    before = [t.clone() for t in problem.inputs()]
    assert not any(part.requires_grad for part in Ridge()(problem.outer()))
    assert_equal(problem.inputs(), before)


def test_the_squared_error_of_classes_is_from_centred_ones():
    y = torch.tensor([0, 2])
    perfect = torch.eye(3)[y] - 1 / 3
    assert squared_error(perfect, y) == 0
    assert squared_error(perfect + 1, y) == pytest.approx(3)


def test_the_squared_error_of_numbers_is_summed_over_outputs():
    y = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert squared_error(y, y) == 0
    assert squared_error(y + torch.tensor([1.0, 2.0]), y) == 5
