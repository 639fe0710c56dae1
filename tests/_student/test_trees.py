"""Soft trees say what fitted trees say, and their gradient is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier
from torch.nn import functional as F

from sklearn_dd._student.trees import Boosting, Forest

HARD = 1e-9  # width of a split


def samples(n, n_classes=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    index = torch.arange(n) % n_classes
    x = torch.randn(n, 4, generator=g, dtype=torch.float64)
    x[:, :n_classes] += F.one_hot(index, n_classes)
    return x.float().double(), index, F.one_hot(index, n_classes).double()


def seed_of(g):
    return int(torch.randint(2**31 - 1, (), generator=g))


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(), DecisionTreeClassifier(max_depth=2), ExtraTreeClassifier(),
        RandomForestClassifier(8), RandomForestClassifier(4, bootstrap=False, max_depth=3),
        ExtraTreesClassifier(5),
    ],
    ids=str,
)  # fmt: skip
def test_with_hard_splits_a_forest_says_what_scikit_learns_says(model):
    x, index, y = samples(40)
    new, *_ = samples(200, seed=1)
    expected = model.set_params(random_state=seed_of(seeded())).fit(x, index).predict_proba(new)
    found = Forest(model, HARD)(x, y, new, seeded()).exp()
    assert_allclose(found, expected.clip(1e-4), atol=1e-6)


@pytest.mark.parametrize(
    "model", [DecisionTreeRegressor(max_depth=3), RandomForestRegressor(8)], ids=str
)
def test_so_does_a_forest_of_numbers(model):
    x, *_ = samples(40)
    y, (new, *_) = x.sum(1, keepdim=True).sin(), samples(200, seed=1)
    expected = model.set_params(random_state=seed_of(seeded())).fit(x, y[:, 0]).predict(new)
    assert_allclose(Forest(model, HARD)(x, y, new, seeded())[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_so_does_boosting(n_classes):
    x, index, y = samples(42, n_classes)
    new, *_ = samples(200, n_classes, seed=1)
    model = GradientBoostingClassifier(n_estimators=10, random_state=seed_of(seeded()))
    expected = model.fit(x, index).decision_function(new)
    found = Boosting(model, HARD)(x, y, new, seeded())
    if n_classes == 2:
        assert_allclose(found[:, 1] - found[:, 0], expected, atol=1e-6)
    else:
        assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-6)


def test_so_does_boosting_of_numbers():
    x, *_ = samples(40)
    y, (new, *_) = x.sum(1, keepdim=True).sin(), samples(200, seed=1)
    model = GradientBoostingRegressor(n_estimators=10, random_state=seed_of(seeded()))
    expected = model.fit(x, y[:, 0]).predict(new)
    assert_allclose(Boosting(model, HARD)(x, y, new, seeded())[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "counterpart",
    [
        Forest(DecisionTreeClassifier(max_depth=3)), Forest(RandomForestClassifier(3)),
        Forest(ExtraTreesClassifier(3)), Boosting(GradientBoostingClassifier(n_estimators=5)),
    ],
    ids=lambda c: type(c.model).__name__,
)  # fmt: skip
def test_the_gradient_is_that_of_trees_whose_structure_stays(counterpart):
    """Finite differences refit the trees, whose splits move with the samples that they separate."""
    x, _, y = samples(12)
    new, *_ = samples(6, seed=1)
    x = x.requires_grad_()
    outputs = counterpart(x, y, new, seeded())
    direction = torch.randn(x.shape, generator=seeded(), dtype=x.dtype)
    weights = torch.randn(outputs.shape, generator=seeded(), dtype=x.dtype)
    (gradient,) = torch.autograd.grad((outputs * weights).sum(), x)
    step = 2.0**-12  # exact in float32, in which trees see samples
    with torch.no_grad():
        ahead, behind = (
            (counterpart((x + s * direction).float().double(), y, new, seeded()) * weights).sum()
            for s in (step, -step)
        )
    assert_allclose((gradient * direction).sum(), (ahead - behind) / (2 * step), rtol=2e-2)
    assert gradient.any()


@pytest.mark.parametrize(
    "counterpart",
    [Forest(DecisionTreeRegressor(max_depth=2)), Boosting(GradientBoostingRegressor())],
    ids=lambda c: type(c).__name__,
)
def test_numbers_have_a_gradient_in_their_targets(counterpart):
    x, *_ = samples(20)
    y = x.sum(1, keepdim=True).requires_grad_()
    found = counterpart(x, y, x, seeded())
    (gradient,) = torch.autograd.grad(found.sum(), y)
    assert_allclose(gradient.sum(), 20, rtol=1e-6)  # all targets 1 higher, all predictions too


def test_a_tree_without_splits_says_the_mean():
    x, _, y = samples(9)
    found = Forest(DecisionTreeClassifier(min_impurity_decrease=10))(x, y, x, seeded())
    assert_allclose(found.exp(), np.full((9, 3), 1 / 3), rtol=1e-6)
