"""Choosing few samples from many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd._data import Standardize
from sklearn_dd._selection import (
    choose_by_class,
    cluster_centers,
    herding,
    k_centers,
    mean_of_all,
    means_of_halves,
    random_samples,
)

from .helpers import BASELINES

CHOOSERS = [means_of_halves, *(kind.choose for kind in BASELINES)]


@pytest.fixture
def z():
    return np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)


def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("choose", CHOOSERS)
def test_every_chooser_gives_as_many_as_are_wanted_or_one(z, choose):
    for wanted in (1, 4, 30):
        chosen = choose(z, wanted, rng())
        assert chosen.shape == (1 if choose is mean_of_all else wanted, 2)
        assert chosen.dtype == np.float32
        assert_array_equal(choose(z, wanted, rng()), chosen)


@pytest.mark.parametrize("choose", [random_samples, k_centers, herding])
def test_chosen_samples_are_different_real_ones(z, choose):
    chosen = choose(z, 30, rng())
    assert_array_equal(np.unique(chosen, axis=0), np.unique(z, axis=0))


def test_means_of_halves_have_the_mean_of_all(z):
    means = means_of_halves(z, 2000, rng())
    assert_allclose(means.mean(axis=0), z.mean(axis=0), atol=0.1 * z.std())
    # Without replacement, the variance of the mean of a half is that of the mean of all.
    assert_allclose(means.std(axis=0), z.std(axis=0, ddof=1) / np.sqrt(len(z)), rtol=0.1)
    assert_allclose(means_of_halves(z, 1, rng()), z.mean(axis=0, keepdims=True))
    assert_allclose(mean_of_all(z, 5, rng()), z.mean(axis=0, keepdims=True))


def test_cluster_centers_find_clusters():
    corners = np.array([[-9.0, 0.0], [9.0, 0.0], [0.0, 9.0]], np.float32)
    z = np.repeat(corners, 10, axis=0)
    found = cluster_centers(z, 3, rng())
    assert_allclose(np.sort(found, axis=0), np.sort(corners, axis=0), atol=1e-5)


def test_k_centers_are_far_apart():
    z = np.array([[0.0], [1.0], [10.0], [-4.0]], np.float32)
    # The mean is 1.75; then come the farthest from those chosen.
    assert_array_equal(k_centers(z, 3, rng()), [[1.0], [10.0], [-4.0]])


def test_herding_follows_the_mean():
    z = np.array([[0.0], [1.0], [2.0], [7.0]], np.float32)
    # The mean is 2.5: 2, then 2 + 1 or 2 + 7 ... whichever has the mean closest to it.
    assert_array_equal(herding(z, 2, rng()), [[2.0], [1.0]])


def test_classes_are_chosen_from_one_by_one():
    X = np.arange(20.0)[:, None]
    members = [np.arange(10), np.arange(10, 20)]
    seen = []

    def choose(z, wanted, rng):
        seen.append(z)
        return z[:wanted]

    chosen = choose_by_class(
        X, members, np.array([1, 2]), 2, Standardize((1,), (1,)), rng(), limit=3, choose=choose
    )
    assert isinstance(chosen, torch.Tensor)
    assert chosen.shape == (2, 3, 1)  # two steps, each with one sample of a class and two
    assert (chosen[:, 0] < 10).all()
    assert (chosen[:, 1:] >= 10).all()
    assert [len(z) for z in seen] == [3, 4], "three are considered, or as many as are wanted"
