"""Distribution matching is exact: it equals loops over images, classes and layers."""

from __future__ import annotations

import torch
from torch.func import functional_call

from sklearn_dd._engine import DistributionMatching, Hypergradient
from sklearn_dd._engine.hypergradients.distribution_matching import class_means

from ..problems import Problem, assert_close


def naive_features(problem: Problem, theta, image):
    """One image through all layers but the last."""
    for name, layer in list(problem.module.named_children())[:-1]:
        prefix = f"{name}."
        own = {k.removeprefix(prefix): p for k, p in theta.items() if k.startswith(prefix)}
        image = functional_call(layer, own, (image,))
    return image[0]


def naive_loops(problem: Problem) -> Hypergradient:
    """The distance and its gradient, one image at a time."""
    x = problem.x.clone().requires_grad_()
    losses = []
    for theta in problem.each_init():
        loss = 0
        for c in range(3):
            distilled = [
                naive_features(problem, theta, x[k, i][None])
                for k in range(len(x))
                for i in range(x.shape[1])
                if problem.y[k, i].argmax() == c
            ]
            real = [
                naive_features(problem, theta, image[None])
                for image, label in zip(*problem.real, strict=True)
                if label == c
            ]
            if distilled and real:
                gap = sum(distilled) / len(distilled) - sum(real) / len(real)
                loss = loss + sum(component**2 for component in gap)
        losses.append(loss)
    loss = sum(losses) / len(losses)
    (dx,) = torch.autograd.grad(loss, x)
    return Hypergradient(
        loss.detach(), dx, torch.zeros_like(problem.y), torch.zeros_like(problem.lrs)
    )


def test_it_equals_the_naive_loops(problem):
    expected = naive_loops(problem)
    assert expected.loss > 0.01
    assert_close(DistributionMatching()(problem.outer()), expected)


def test_class_means_are_of_each_class_and_zero_where_there_is_none():
    classes, samples = torch.tensor([0, 2, 0]), torch.tensor([[1.0], [5.0], [3.0]])
    means = class_means(classes, torch.zeros(1, 3)) @ samples
    assert means.tolist() == [[2.0], [0.0], [5.0]]


def test_labels_get_no_gradient(problem):
    found = DistributionMatching()(problem.outer())
    assert found.y.shape == problem.y.shape
    assert not found.y.any()
