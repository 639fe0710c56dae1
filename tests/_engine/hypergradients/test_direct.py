"""Models without gradient steps, and several students at once."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose

from sklearn_dd._engine import Ridge, Unrolled, classification, draw, regression
from sklearn_dd._engine.counterparts import (
    LOGISTIC,
    KernelRidge,
    Linear,
    NearestNeighbours,
    RandomSubspaces,
    scaled,
)
from sklearn_dd._engine.hypergradients.direct import Direct
from sklearn_dd._engine.hypergradients.joint import Joint
from sklearn_dd._engine.model_fn import ModelFn, Several, model_prior

from ..problems import assert_equal, mlp

MODELS = [NearestNeighbours(), KernelRidge(), Linear(LOGISTIC), RandomSubspaces(n_subsets=2)]


def of_model(counterpart, objective=classification, n_inits=1, **changes):
    params = draw(model_prior, range(n_inits), 0)
    return mlp().outer(objective)._replace(student=ModelFn(counterpart), params=params, **changes)


@pytest.mark.parametrize("counterpart", MODELS, ids=lambda c: type(c).__name__)
def test_the_loss_is_that_of_the_best_scale_on_the_real_batch(counterpart):
    problem = of_model(counterpart)
    model, (x_real, y_real) = problem.student, problem.real
    (params,) = model.groups(problem.params)
    outputs = model.apply(model.learn(params, problem.x, problem.y), x_real)
    found = Direct()(problem)
    expected = classification(scaled(classification, outputs, y_real), y_real)
    assert_allclose(found.loss, expected)
    assert found.x.any()
    assert not found.lrs.any()


def test_models_that_draw_are_averaged():
    problem = of_model(RandomSubspaces(n_subsets=1), n_inits=3)
    seeds = problem.params["seed"]
    each = [Direct()(problem._replace(params={"seed": seeds[k : k + 1]})) for k in range(3)]
    found = Direct()(problem)
    assert len({float(one.loss) for one in each}) > 1
    assert_allclose(found.loss, sum(one.loss for one in each) / 3)
    assert_allclose(found.x, sum(one.x for one in each) / 3)


def test_a_regression_is_judged_as_it_is():
    x_real, _ = mlp().real
    y_real = torch.randn(len(x_real), 3, dtype=x_real.dtype, generator=torch.Generator())
    problem = of_model(KernelRidge(), regression, real=(x_real, y_real))
    x, y = problem.x.flatten(0, 1), problem.y.flatten(0, 1)
    outputs = KernelRidge()(x, y, x_real, torch.Generator())
    assert_allclose(Direct()(problem).loss, regression(outputs, y_real))


def of_several():
    net, model = mlp(), ModelFn(NearestNeighbours())
    drawn = draw(model_prior, range(net.n_inits), 0)
    params = {f"0.{name}": p for name, p in net.params.items()} | {"1.seed": drawn["seed"]}
    return net.outer()._replace(student=Several([net.student, model]), params=params)


def test_several_students_have_the_geometric_mean_of_their_losses():
    first, second = Unrolled()(mlp().outer()), Direct()(of_model(NearestNeighbours()))
    found = Joint([Unrolled(), Direct()])(of_several())
    assert_allclose(found.loss, (first.loss * second.loss).sqrt())
    for total, a, b in zip(found[1:], first[1:], second[1:], strict=True):
        assert_allclose(total, found.loss / 2 * (a / first.loss + b / second.loss))


def test_what_the_methods_of_several_students_carry_is_resumed():
    joint, again = (Joint([Ridge(pool_size=1), Direct()]) for _ in range(2))
    joint(of_several())
    again.load_state_dict(joint.state_dict())
    assert_equal(again(of_several()), joint(of_several()))


def test_several_students_can_do_what_all_can_do():
    assert not Joint([Direct()]).learns_step_sizes
    both = Joint([Direct(), Unrolled()])
    assert both.learns_step_sizes
    assert both.targets == Direct().targets
