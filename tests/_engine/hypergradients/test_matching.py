"""What holds for both kinds of matching, of features and of gradients."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from sklearn_dd._engine import DistributionMatching, GradientMatching, Hypergradient, Method

from ..problems import (
    assert_close,
    assert_equal,
    leaves_of,
    mean_of,
    mlp_of_three_inits,
    outer_loss,
)

METHODS = [DistributionMatching(), GradientMatching(max_age=0)]


@pytest.fixture(params=METHODS, ids=lambda method: type(method).__name__)
def method(request: pytest.FixtureRequest) -> Method:
    return request.param


def test_it_passes_gradcheck(problem, method):
    loss = outer_loss(method, problem, "x", "y")
    leaves = leaves_of(problem, "x", "y")
    assert gradcheck(loss, leaves, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_stacked_students_equal_one_after_the_other(problem, method):
    together = method(problem.outer())
    alone = [{name: p[None] for name, p in init.items()} for init in problem.each_init()]
    assert_close(together, mean_of(method(problem.outer(params=params)) for params in alone))
    assert_close(together, method(problem.outer(stackable=False)))


def test_a_distilled_set_that_is_the_real_batch_is_at_distance_zero(problem, method):
    x, y = problem.real[0][None], F.one_hot(problem.real[1], 3)[None].double()
    lrs = problem.lrs[:, :1]
    for order in range(len(y[0])), torch.randperm(len(y[0])):
        found = method(problem.outer(x=x[:, order], y=y[:, order], lrs=lrs))
        assert all(part.abs().max() < 1e-12 for part in found)
    assert method(problem.outer(x=x.roll(1, 1), y=y, lrs=lrs)).loss > 0.01


def test_how_it_is_cut_into_steps_is_no_matter(problem, method):
    cut = method(problem.outer())
    in_one_step = problem.outer(
        x=problem.x.reshape(1, -1, *problem.x.shape[2:]),
        y=problem.y.reshape(1, -1, 3),
        lrs=problem.lrs.reshape(-1, 1),
    )
    whole = (part.view_as(like) for part, like in zip(method(in_one_step), cut, strict=True))
    assert_close(Hypergradient(*whole), cut)


def test_a_class_absent_from_either_side_is_skipped(method):
    problem = mlp_of_three_inits()
    problem.y = F.one_hot(torch.tensor([[0, 1, 1, 2], [2, 1, 0, 0]]), 3).double()
    problem.real = problem.real[0], torch.tensor([0, 1, 2, 0, 1, 2, 0])
    without_twos = tuple(part[problem.real[1] != 2] for part in problem.real)
    full = method(problem.outer())
    few = method(problem.outer(real=without_twos))
    absent = problem.y.argmax(-1) == 2
    assert not few.x[absent].any()
    assert full.x[absent].all()
    torch.testing.assert_close(few.x[~absent], full.x[~absent], rtol=1e-12, atol=0)

    as_ones = torch.where(absent[..., None], torch.eye(3).double()[1], problem.y)
    undistilled = method(problem.outer(y=as_ones))
    assert undistilled.loss > 0
    assert_close(undistilled, method(problem.outer(y=as_ones, real=without_twos)))


def test_no_class_in_common_is_no_distance(problem, method):
    y = torch.eye(3).double()[0].expand_as(problem.y)
    found = method(problem.outer(y=y, real=(problem.real[0], problem.real[1].clamp(1))))
    assert not any(part.any() for part in found)


def test_step_sizes_get_no_gradient(problem, method):
    found = method(problem.outer())
    assert found.lrs.shape == problem.lrs.shape
    assert not found.lrs.any()


@pytest.mark.parametrize("method", [DistributionMatching(), GradientMatching(max_age=5)], ids=repr)
def test_no_graph_outlives_the_call_and_nothing_is_changed(problem, method):
    before, state = [t.clone() for t in problem.inputs()], torch.get_rng_state()
    problem.x.requires_grad_()
    assert not any(part.requires_grad for part in method(problem.outer()))
    assert_equal(problem.inputs(), before)
    assert torch.equal(torch.get_rng_state(), state)


@torch.no_grad()
def test_it_differentiates_also_without_gradients(problem, method):
    found = method(problem.outer())
    with torch.enable_grad():
        assert_equal(found, method(problem.outer()))
