"""Matching is exact: it equals the naive loops, finite differences and each net alone."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd.engine.distribution_matching import DistributionMatching
from sklearn_dd.engine.gradient_matching import GradientMatching, angular
from sklearn_dd.engine.hypergradient import Hypergradient
from sklearn_dd.engine.inner_loop import pure
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.optimizers import SGD, Adam, Momentum

from .problems import PROBLEMS, Problem, mlp, mlp_of_three_inits, naive_direction

ESTIMATORS = [DistributionMatching(), GradientMatching(max_age=0)]


@pytest.fixture(params=PROBLEMS, ids=lambda make: make.__name__)
def problem(request: pytest.FixtureRequest) -> Problem:
    return with_features(request.param)


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request: pytest.FixtureRequest):
    return request.param


def with_features(make) -> Problem:
    """Its learner's features are what all layers but the last return."""
    torch.manual_seed(0)
    p = make()
    body, last = pure(p.module[:-1]), str(len(p.module) - 1)

    def features(params, x):
        return body({name: q for name, q in params.items() if name.split(".")[0] != last}, x)

    p.learner = dataclasses.replace(p.learner, features=features)
    return p


def estimate(p: Problem, estimator, seed: int = 0, objective=classification, **changed):
    learner = dataclasses.replace(
        p.learner, **{k: changed.pop(k) for k in ("optimizer", "at_once") if k in changed}
    )
    return estimator(p.task(objective, seed=seed, learner=learner, **changed))


def assert_same(found, wanted, tolerance=1e-10):
    for field, a, b in zip(found._fields, found, wanted, strict=True):
        assert (a - b).norm() <= tolerance * b.norm(), field


def nets(p: Problem):
    """The parameters of each net alone."""
    for i in range(len(next(iter(p.params.values())))):
        yield {name: q[i] for name, q in p.params.items()}


def naive_distribution_matching(p: Problem):
    x = p.x.clone().requires_grad_()
    loss, n_nets = 0, 0
    for theta in nets(p):

        def features(image, theta=theta):
            for name, layer in list(p.module.named_children())[:-1]:
                own = {k[len(name) + 1 :]: q for k, q in theta.items() if k.startswith(name + ".")}
                image = functional_call(layer, own, (image,))
            return image[0]

        for c in range(3):
            distilled = [
                features(x[k, i][None])
                for k in range(len(x)) for i in range(len(x[k])) if p.y[k, i].argmax() == c
            ]  # fmt: skip
            real = [features(image[None]) for image, y in zip(*p.real, strict=True) if y == c]
            if distilled and real:
                gap = sum(distilled) / len(distilled) - sum(real) / len(real)
                loss = loss + sum(component**2 for component in gap)
        n_nets += 1
    loss = loss / n_nets
    dx = torch.autograd.grad(loss, x)[0]
    return loss.detach(), dx, torch.zeros_like(p.y), torch.zeros_like(p.lrs)


def naive_gradient_matching(p: Problem, age=0, objective=classification, optimizer=None):
    x, y = (t.clone().requires_grad_() for t in (p.x, p.y))
    loss, n_nets = 0, 0
    for theta in nets(p):
        theta = {name: q.clone().requires_grad_() for name, q in theta.items()}
        memory = [{name: torch.zeros_like(q) for name, q in theta.items()} for _ in range(2)]

        def logits(images, theta=theta):
            return functional_call(p.module, theta, (images,))

        def inner(images, labels, logits=logits):
            return -(labels * logits(images).log_softmax(-1)).sum() / len(images)

        for t in range(age):
            k, lr = t % len(p.x), p.lrs.flatten()[t % p.lrs.numel()]
            gradient = torch.autograd.grad(inner(p.x[k], p.y[k]), list(theta.values()))
            for (name, q), g in zip(theta.items(), gradient, strict=True):
                with torch.no_grad():
                    q -= lr * naive_direction(optimizer, memory, name, g, t)
        for c in range(3):
            ours = [
                (k, i) for k in range(len(x)) for i in range(x.shape[1]) if y[k, i].argmax() == c
            ]
            theirs = [i for i, label in enumerate(p.real[1]) if label == c]
            if not ours or not theirs:
                continue
            images, labels = (torch.stack([t[place] for place in ours]) for t in (x, y))
            for q in theta.values():
                if q.ndim == 1:
                    continue
                a = torch.autograd.grad(inner(images, labels), q, create_graph=True)[0]
                b = torch.autograd.grad(objective(logits(p.real[0][theirs]), p.real[1][theirs]), q)[
                    0
                ]
                for row, wanted in zip(a, b, strict=True):
                    if row.any() and wanted.any():
                        loss = loss + 1 - (row * wanted).sum() / row.norm() / wanted.norm()
        n_nets += 1
    loss = loss / n_nets
    return loss.detach(), *torch.autograd.grad(loss, (x, y)), torch.zeros_like(p.lrs)


NAIVE = {
    DistributionMatching: naive_distribution_matching,
    GradientMatching: naive_gradient_matching,
}


def test_equals_the_naive_loops(problem, estimator):
    wanted = NAIVE[type(estimator)](problem)
    assert wanted[0] > 0.01
    assert_same(estimate(problem, estimator), wanted)


def test_gradcheck(problem, estimator):
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            loss, dx, dy, _ = estimate(problem, estimator, x=x, y=y)
            ctx.save_for_backward(dx, dy)
            return loss

        @staticmethod
        def backward(ctx, cotangent):
            return tuple(cotangent * g for g in ctx.saved_tensors)

    leaves = [t.clone().requires_grad_() for t in (problem.x, problem.y)]
    assert gradcheck(Loss.apply, leaves, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_nets_at_once_equal_one_after_the_other(problem, estimator):
    together = estimate(problem, estimator)
    alone = [{name: q[None] for name, q in net.items()} for net in nets(problem)]
    apart = [estimate(problem, estimator, nets=nets) for nets in alone]
    assert_same(together, [torch.stack(parts).mean(0) for parts in zip(*apart, strict=True)])
    assert_same(together, estimate(problem, estimator, at_once=False))


def test_a_distilled_set_that_is_the_real_batch_is_at_distance_zero(problem, estimator):
    x, y = problem.real[0][None], F.one_hot(problem.real[1], 3)[None].double()
    lrs = problem.lrs[:, :1]
    for order in range(len(y[0])), torch.randperm(len(y[0])):
        found = estimate(problem, estimator, x=x[:, order], y=y[:, order], lrs=lrs)
        assert all(t.abs().max() < 1e-12 for t in found)
    assert estimate(problem, estimator, x=x.roll(1, 1), y=y, lrs=lrs).loss > 0.01


def test_how_it_is_cut_into_steps_is_no_matter(problem, estimator):
    cut = estimate(problem, estimator)
    whole = estimate(problem, estimator, x=problem.x.reshape(1, -1, *problem.x.shape[2:]),
                     y=problem.y.reshape(1, -1, 3), lrs=problem.lrs.reshape(-1, 1))  # fmt: skip
    whole = (part.view_as(theirs) for part, theirs in zip(whole, cut, strict=True))
    assert_same(Hypergradient(*whole), cut)


def test_a_class_absent_from_either_side_is_skipped(estimator):
    p = with_features(mlp_of_three_inits)
    p.y = F.one_hot(torch.tensor([[0, 1, 1, 2], [2, 1, 0, 0]]), 3).double()
    p.real = p.real[0], torch.tensor([0, 1, 2, 0, 1, 2, 0])
    full = estimate(p, estimator)
    few = estimate(p, estimator, real=tuple(t[p.real[1] != 2] for t in p.real))
    absent = p.y.argmax(-1) == 2
    assert not few.x[absent].any()
    assert full.x[absent].all()
    torch.testing.assert_close(few.x[~absent], full.x[~absent], rtol=1e-12, atol=0)

    as_ones = torch.where(absent[..., None], torch.eye(3).double()[1], p.y)
    undistilled = estimate(p, estimator, y=as_ones)
    assert_same(
        undistilled,
        estimate(p, estimator, y=as_ones, real=tuple(t[p.real[1] != 2] for t in p.real)),
    )


def test_no_class_in_common_is_no_distance(problem, estimator):
    y = torch.eye(3).double()[0].expand_as(problem.y)
    found = estimate(problem, estimator, y=y, real=(problem.real[0], problem.real[1].clamp(1)))
    assert not any(t.any() for t in found)


def test_step_sizes_get_no_gradient(problem, estimator):
    found = estimate(problem, estimator)
    assert found.lrs.shape == problem.lrs.shape
    assert not found.lrs.any()


def test_no_graph_outlives_the_call_and_nothing_is_changed(problem):
    for estimator in DistributionMatching(), GradientMatching(max_age=5):
        inputs = [*problem.params.values(), problem.x, problem.y, problem.lrs, *problem.real]
        before, state = [t.clone() for t in inputs], torch.get_rng_state()
        assert not any(t.requires_grad for t in estimate(problem, estimator))
        assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", [SGD(), Momentum(0.7), Adam(eps=1e-3)], ids=str)
def test_gradients_are_matched_where_training_leads(optimizer):
    """At any of the ages, which may go beyond one training, each as likely."""
    p = with_features(mlp)
    max_age = p.lrs.numel() + 1
    by_age = [naive_gradient_matching(p, age, optimizer=optimizer) for age in range(max_age + 1)]
    assert len({float(loss) for loss, *_ in by_age}) == max_age + 1
    ages = Counter()
    for seed in range(60):
        found = estimate(p, GradientMatching(max_age), seed=seed, optimizer=optimizer)
        age = min(range(max_age + 1), key=lambda age: (found.loss - by_age[age][0]).abs())
        assert_same(found, by_age[age])
        ages[age] += 1
    assert set(ages) == set(range(max_age + 1))
    assert max(ages.values()) < 3 * 60 / (max_age + 1)


def test_all_nets_are_of_one_age():
    p = with_features(mlp_of_three_inits)
    assert_same(
        estimate(p, GradientMatching(9)), estimate(p, GradientMatching(9), at_once=False)
    )  # fmt: skip


def test_the_same_seed_gives_the_same_to_the_bit(problem):
    first, second, other = (estimate(problem, GradientMatching(9), seed=s) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first.loss != other.loss


def test_real_gradients_are_of_the_outer_objective(problem):
    def attack(logits, y):
        return classification(logits, torch.where(y == 0, 1, y))

    found = estimate(problem, GradientMatching(0), objective=attack)
    assert_same(found, naive_gradient_matching(problem, objective=attack))
    assert (found.loss - estimate(problem, GradientMatching(0)).loss).abs() > 0.01


def test_angles():
    a = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[9.0, 0.0], [5.0, 0.0], [-2.0, -2.0], [1.0, 0.0], [0.0, 0.0]])
    a.requires_grad_()
    distances = [angular(a[[i]], b[[i]]) for i in range(5)]
    torch.testing.assert_close(torch.stack(distances), torch.tensor([0.0, 1.0, 2.0, 0.0, 0.0]))
    total = angular(a, b)
    assert total.item() == pytest.approx(3)
    slope = torch.autograd.grad(total, a)[0]
    torch.testing.assert_close(slope[1], torch.tensor([-0.5, 0.0]))
    assert slope[[0, 2]].abs().max() < 1e-6
    assert not slope[[3, 4]].any()
