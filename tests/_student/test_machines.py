"""A support vector machine is its own counterpart, and its gradient is exact."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.svm import SVC

from sklearn_dd._engine import counterparts as of
from sklearn_dd._student.machines import SupportVectors

FREE = torch.Generator()  # no machine draws
MACHINES = [
    SVC(), SVC(C=0.1), SVC(C=30), SVC(gamma=0.2), SVC(gamma="auto"), SVC(kernel="linear"),
    SVC(C=0.05, kernel="linear"),
]  # fmt: skip


def samples(n_classes, n=24, seed=1):
    rng = np.random.default_rng(seed)
    index = np.arange(n) % n_classes
    x = torch.tensor(rng.normal(size=(n, 5)) + np.eye(5)[index])
    return x, index, torch.eye(n_classes, dtype=torch.float64)[index]


@pytest.mark.parametrize("model", MACHINES, ids=str)
def test_two_classes_have_the_decision_function_of_scikit_learn(model):
    x, index, y = samples(2)
    new, *_ = samples(2, 100, seed=2)
    found = SupportVectors(model)(x, y, new, FREE)
    expected = model.fit(x, index).decision_function(new)
    assert_allclose(found[:, 1], expected, atol=5e-3)  # the tolerance of the model
    assert_allclose(found[:, 0], -found[:, 1])


@pytest.mark.parametrize("counts", [[6, 6, 6, 6], [3, 8, 2, 11]])
@pytest.mark.parametrize("model", MACHINES, ids=str)
def test_several_classes_have_the_sum_of_all_pairs(model, counts):
    x, *_ = samples(4)
    index = np.repeat(np.arange(4), counts)
    y = torch.eye(4, dtype=torch.float64)[index]
    new, *_ = samples(4, 100, seed=2)
    found = SupportVectors(model)(x, y, new, FREE)
    model.set_params(decision_function_shape="ovo").fit(x, index)
    expected = np.zeros((100, 4))
    for of_pair, (i, j) in zip(
        model.decision_function(new).T, itertools.combinations(range(4), 2), strict=True
    ):
        expected[:, i] += of_pair
        expected[:, j] -= of_pair
    assert_allclose(found, expected, atol=2e-2)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", MACHINES, ids=str)
def test_gradients_are_those_of_finite_differences(model, n_classes):
    x, _, y = samples(n_classes, 12)
    new, *_ = samples(n_classes, 4, seed=2)
    machine = SupportVectors(model)
    assert torch.autograd.gradcheck(
        lambda x: machine(x, y, new, FREE), x.requires_grad_(), eps=1e-5, atol=1e-4, rtol=1e-3
    )


def test_samples_that_are_alike_have_finite_gradients():
    x, _, y = samples(2)
    x[2:] = x[:2].repeat(11, 1)
    found = SupportVectors(SVC(C=10))(x.requires_grad_(), y, x.detach() + 0.1, FREE)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert gradient.isfinite().all()


def test_labels_in_part_are_learned_by_ridge_regression():
    x, _, y = samples(3)
    soft = (0.9 * y + 0.1 / 3).requires_grad_()
    new, *_ = samples(3, 10, seed=2)
    found = SupportVectors(SVC(C=2, gamma=0.3))(x, soft, new, FREE)
    ridge = of.KernelRidge(C=2, gamma=0.3, per_variance=False)
    assert_allclose(found.detach(), ridge(x, soft, new, FREE).detach())
    assert torch.autograd.grad(found.square().sum(), soft)[0].any()
    linear = SupportVectors(SVC(C=2, kernel="linear"))(x, soft, new, FREE)
    expected = of.Linear(of.SQUARED_HINGE, C=2)(x, soft, new, FREE)
    assert_allclose(linear.detach(), expected.detach())


def test_what_the_user_set_for_speed_does_not_matter():
    x, _, y = samples(2)
    new, *_ = samples(2, 10, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hasty = SupportVectors(SVC(max_iter=2, tol=0.5))(x, y, new, FREE)
    assert_allclose(hasty, SupportVectors(SVC())(x, y, new, FREE))
