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
    Net,
    scaled,
)
from sklearn_dd._engine.hypergradients.direct import Direct
from sklearn_dd._engine.hypergradients.joint import Joint
from sklearn_dd._engine.model_fn import ModelFn, Several, model_prior

from ..problems import assert_equal, mlp

MODELS = [NearestNeighbours(), KernelRidge(), Linear(LOGISTIC), Net((5,))]


def of_model(counterpart, objective=classification, n_inits=1, **changes):
    params = draw(model_prior, range(n_inits), 0)
    return mlp().outer(objective)._replace(student=ModelFn(counterpart), params=params, **changes)


@pytest.mark.parametrize("counterpart", MODELS, ids=lambda c: type(c).__name__)
def test_the_loss_is_that_of_the_best_scale_on_the_real_batch(counterpart):
    problem = of_model(counterpart)
    model, (x_real, y_real) = problem.student, problem.real
    (params,) = model.groups(problem.params)
    outputs = model.apply(model.learn(params, problem.x, problem.y), x_real).detach()
    found = Direct()(problem)
    expected = classification(scaled(classification, outputs, y_real), y_real)
    assert_allclose(found.loss, expected)
    assert found.x.any()
    assert not found.lrs.any()


def test_models_that_draw_are_averaged():
    problem = of_model(Net((5,)), n_inits=3)
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


def of_several(weights=None):
    net, model = mlp(), ModelFn(NearestNeighbours())
    drawn = draw(model_prior, range(net.n_inits), 0)
    params = {f"0.{name}": p for name, p in net.params.items()} | {"1.seed": drawn["seed"]}
    return net.outer()._replace(student=Several([net.student, model], weights), params=params)


@pytest.mark.parametrize("weights", [None, (0.5, 3.0)])
def test_several_students_have_the_weighted_mean_of_their_losses(weights):
    first, second = Unrolled()(mlp().outer()), Direct()(of_model(NearestNeighbours()))
    found = Joint([Unrolled(), Direct()], [classification] * 2)(of_several(weights))
    w, v = weights or (1, 1)
    for mean, a, b in zip(found, first, second, strict=True):
        assert_allclose(mean, (w * a + v * b) / 2)


def test_a_student_that_takes_long_counts_for_more_in_fewer_iterations():
    class Slow(NearestNeighbours):
        share = 0.25

    problem = of_several()
    slow = problem._replace(student=Several([problem.student.members[0], ModelFn(Slow())]))
    first, second = Unrolled()(mlp().outer()), Direct()(of_model(NearestNeighbours()))
    joint = Joint([Unrolled(), Direct()], [classification] * 2)
    kinds = []
    for seed in range(100):
        found = joint(slow._replace(generator=torch.Generator().manual_seed(seed)))
        counts = 2 * found.x - first.x
        kinds.append(bool(counts.any()))
        assert_allclose(counts, 4 * second.x * kinds[-1], atol=1e-12)
    assert 10 < sum(kinds) < 45


def test_a_model_that_nothing_moves_has_a_gradient_of_0():
    class Constant(NearestNeighbours):
        def __call__(self, x, y, new, generator):
            return new.new_zeros(len(new), y.shape[1])

    found = Direct()(of_model(Constant()))
    assert not found.x.any()
    assert not found.y.any()


def test_models_that_draw_nothing_are_trained_once():
    params = draw(model_prior, range(3), 0)
    assert len(ModelFn(NearestNeighbours()).groups(params)) == 1
    assert len(ModelFn(Net((5,))).groups(params)) == 3


def test_a_model_without_weights_learns_the_likeliest_class():
    x, y = torch.zeros(1, 2, 3), torch.tensor([[[0.6, 0.4], [0.1, 0.9]]])
    learned = ModelFn(NearestNeighbours(), takes_shares=False).learn({}, x, y)
    assert learned["y"].tolist() == [[1, 0], [0, 1]]


def test_what_the_methods_of_several_students_carry_is_resumed():
    joint, again = (Joint([Ridge(pool_size=1), Direct()], [classification] * 2) for _ in range(2))
    joint(of_several())
    again.load_state_dict(joint.state_dict())
    assert_equal(again(of_several()), joint(of_several()))


def test_step_sizes_are_learned_where_a_student_takes_steps():
    assert not Joint([Direct()], [classification]).learns_step_sizes
    assert Joint([Direct(), Unrolled()], [classification] * 2).learns_step_sizes
