"""Gradient matching is exact: it equals loops over students, classes, weights and rows."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.func import functional_call

from sklearn_dd._engine import (
    SGD,
    Adam,
    GradientMatching,
    Hypergradient,
    Momentum,
    classification,
)
from sklearn_dd._engine.hypergradients.gradient_matching import angular

from ..problems import (
    Problem,
    assert_close,
    assert_equal,
    empty_memory,
    mlp,
    mlp_of_three_inits,
    naive_direction,
)


def naive_loops(
    problem: Problem, age: int = 0, objective=classification, optimizer=None
) -> Hypergradient:
    """The distance between gradients, and its own gradient, after ``age`` steps of training."""
    x, y = (t.clone().requires_grad_() for t in (problem.x, problem.y))
    x_real, y_real = problem.real
    losses = []
    for theta in problem.each_init():
        theta, loss = naive_training(problem, theta, age, optimizer), 0
        for c in range(3):
            places = [
                (k, i) for k in range(len(x)) for i in range(x.shape[1]) if y[k, i].argmax() == c
            ]
            rows = [i for i, label in enumerate(y_real) if label == c]
            if not places or not rows:
                continue
            images, labels = (torch.stack([t[place] for place in places]) for t in (x, y))
            distilled = inner_loss(problem, theta, images, labels)
            real = objective(functional_call(problem.module, theta, (x_real[rows],)), y_real[rows])
            for weight in theta.values():
                if weight.ndim == 1:
                    continue
                (ours,) = torch.autograd.grad(distilled, weight, create_graph=True)
                (goal,) = torch.autograd.grad(real, weight, retain_graph=True)
                for row, wanted in zip(ours, goal, strict=True):
                    if row.any() and wanted.any():
                        loss = loss + 1 - (row * wanted).sum() / row.norm() / wanted.norm()
        losses.append(loss)
    loss = sum(losses) / len(losses)
    slopes = torch.autograd.grad(loss, (x, y))
    return Hypergradient(loss.detach(), *slopes, torch.zeros_like(problem.lrs))


def inner_loss(problem: Problem, theta, images, labels):
    logits = functional_call(problem.module, theta, (images,))
    return -(labels * logits.log_softmax(-1)).sum() / len(images)


def naive_training(problem: Problem, theta, n_steps: int, optimizer):
    """The parameters after some steps, which go over the schedule again where it ends."""
    theta = {name: p.clone().requires_grad_() for name, p in theta.items()}
    memory = empty_memory(theta)
    for t in range(n_steps):
        k, lr = t % len(problem.x), problem.lrs.flatten()[t % problem.lrs.numel()]
        loss = inner_loss(problem, theta, problem.x[k], problem.y[k])
        gradient = torch.autograd.grad(loss, list(theta.values()))
        with torch.no_grad():
            for (name, p), slope in zip(theta.items(), gradient, strict=True):
                p -= lr * naive_direction(optimizer, memory, name, slope, t)
    return theta


def test_it_equals_the_naive_loops(problem):
    expected = naive_loops(problem)
    assert expected.loss > 0.01
    assert_close(GradientMatching(max_age=0)(problem.outer()), expected)


@pytest.mark.parametrize("optimizer", [SGD(), Momentum(0.7), Adam(eps=1e-3)], ids=str)
def test_gradients_are_matched_where_training_leads(optimizer):
    """At any of the ages, which may go beyond one training, each as likely."""
    problem = mlp()
    max_age = problem.lrs.numel() + 1
    by_age = [naive_loops(problem, age, optimizer=optimizer) for age in range(max_age + 1)]
    assert len({float(expected.loss) for expected in by_age}) == max_age + 1
    ages = Counter()
    for seed in range(60):
        found = GradientMatching(max_age)(problem.outer(seed=seed, optimizer=optimizer))
        age = min(range(max_age + 1), key=lambda age: (found.loss - by_age[age].loss).abs())
        assert_close(found, by_age[age])
        ages[age] += 1
    assert set(ages) == set(range(max_age + 1))
    assert max(ages.values()) < 3 * 60 / (max_age + 1)


def test_all_students_are_of_one_age():
    problem, method = mlp_of_three_inits(), GradientMatching(9)
    trained = method(problem.outer())
    assert_close(trained, method(problem.outer(stackable=False)))
    assert trained.loss != GradientMatching(0)(problem.outer()).loss


def test_the_same_seed_gives_the_same_to_the_bit(problem):
    first, second, other = (GradientMatching(9)(problem.outer(seed=seed)) for seed in (1, 1, 2))
    assert_equal(first, second)
    assert first.loss != other.loss


def test_real_gradients_are_of_the_outer_objective(problem):
    def attack(logits, y):
        return classification(logits, torch.where(y == 0, 1, y))

    found = GradientMatching(0)(problem.outer(attack))
    assert_close(found, naive_loops(problem, objective=attack))
    assert (found.loss - GradientMatching(0)(problem.outer()).loss).abs() > 0.01


def test_rows_of_zeros_are_at_no_angle():
    a = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[9.0, 0.0], [5.0, 0.0], [-2.0, -2.0], [1.0, 0.0], [0.0, 0.0]])
    a.requires_grad_()
    distances = [angular(a[[i]], b[[i]]) for i in range(5)]
    torch.testing.assert_close(torch.stack(distances), torch.tensor([0.0, 1.0, 2.0, 0.0, 0.0]))
    total = angular(a, b)
    assert total.item() == pytest.approx(3)
    (slope,) = torch.autograd.grad(total, a)
    torch.testing.assert_close(slope[1], torch.tensor([-0.5, 0.0]))
    assert slope[[0, 2]].abs().max() < 1e-6
    assert not slope[[3, 4]].any()
