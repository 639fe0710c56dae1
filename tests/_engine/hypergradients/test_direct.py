"""Models without gradient steps, and several students at once."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose

from sklearn_dd._engine import Ridge, Unrolled, classification, regression
from sklearn_dd._engine.counterparts import LOGISTIC, KernelRidge, Linear, NearestNeighbours, scaled
from sklearn_dd._engine.hypergradients.direct import Direct
from sklearn_dd._engine.hypergradients.joint import Joint, Part
from sklearn_dd._engine.priors import random

from ..problems import assert_equal, mlp, seeded, two_layers


@pytest.mark.parametrize("counterpart", [NearestNeighbours(), KernelRidge(), Linear(LOGISTIC)])
def test_the_loss_is_that_of_the_best_scale_on_the_real_batch(counterpart):
    problem = mlp().outer()
    x, y, (x_real, y_real) = problem.x.flatten(0, 1), problem.y.flatten(0, 1), problem.real
    outputs = counterpart(x, y, x_real, problem.generator)
    found = Direct(counterpart)(problem)
    expected = classification(scaled(classification, outputs, y_real), y_real)
    assert_allclose(found.loss, expected)
    assert found.x.any()
    assert not found.lrs.any()


def test_a_regression_is_judged_as_it_is():
    problem = mlp().outer(regression)
    y_real = torch.randn(len(problem.real[0]), 3, generator=problem.generator).double()
    problem = problem._replace(real=(problem.real[0], y_real))
    outputs = KernelRidge()(
        problem.x.flatten(0, 1), problem.y.flatten(0, 1), problem.real[0], problem.generator
    )
    assert_allclose(Direct(KernelRidge())(problem).loss, regression(outputs, y_real))


def test_students_at_once_have_the_weighted_sum_of_their_gradients():
    problem = mlp().outer()
    methods = Unrolled(), Direct(NearestNeighbours())
    first, second = (method(problem) for method in methods)
    found = Joint([Part(methods[0], 2.0), Part(methods[1], 0.5)])(problem)
    for total, a, b in zip(found, first, second, strict=True):
        assert_allclose(total, 2 * a + 0.5 * b)


def test_another_net_starts_from_its_own_weights():
    problem = mlp().outer()
    part = Part(Unrolled(), 1.0, mlp().student, random(lambda: seeded(two_layers).double()))
    first = part(problem)
    assert not torch.equal(first.x, Unrolled()(problem).x)
    assert_equal(part(mlp().outer()), first)  # drawn from the problem's generator


def test_what_the_methods_of_several_students_carry_is_resumed():
    problem = mlp().outer()
    joint = Joint([Part(Ridge(pool_size=1)), Part(Ridge(pool_size=1), 0.5)])
    joint(problem)
    again = Joint([Part(Ridge(pool_size=1)), Part(Ridge(pool_size=1), 0.5)])
    again.load_state_dict(joint.state_dict())
    assert_equal(again(mlp().outer(seed=1)), joint(mlp().outer(seed=1)))


def test_several_students_can_do_what_all_can_do():
    direct = Direct(NearestNeighbours())
    assert not Joint([Part(direct)]).learns_step_sizes
    assert Joint([Part(direct), Part(Unrolled())]).learns_step_sizes
    assert Joint([Part(direct), Part(Unrolled())]).targets == direct.targets
