"""Choosing few samples from many: where distilled samples start, and what baselines consist of.

A chooser maps standardised samples (n, n_values), in random order, to ``wanted`` samples or, for
some, to fewer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from ._data import Array, Standardize, as_tensor

Chooser = Callable[[Array, int, np.random.Generator], Array]
"""(samples (n, n_values), wanted, rng) -> samples (wanted or fewer, n_values)."""


def choose_by_class(
    X: Array,  # (n, n_features)
    members: list[Array],  # rows of each class
    counts: Array,  # (n_classes,), samples of each class in one mini-batch
    n_steps: int,
    units: Standardize,
    rng: np.random.Generator,
    *,
    limit: int,  # samples of a class that are considered, unless more are wanted
    choose: Chooser,
) -> Tensor:
    """Standardised samples (n_steps, batch, *sample_shape), class within step."""
    by_class = []
    for rows, count in zip(members, counts, strict=True):
        wanted = n_steps * count
        considered = rng.permutation(rows)[: max(wanted, limit)]
        z = units(as_tensor(X[considered])).flatten(1).numpy()
        chosen = choose(z, wanted, rng)
        by_class.append(chosen.reshape(n_steps, count, *units.sample_shape))
    return torch.from_numpy(np.concatenate(by_class, axis=1))


def random_samples(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """Random samples."""
    return z[:wanted]


def mean_of_all(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """One sample, the mean."""
    return z.mean(axis=0, keepdims=True)


def means_of_halves(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """The means of random halves, close to the mean of all; a single one is that mean."""
    if wanted == 1:
        return mean_of_all(z, wanted, rng)
    half = max(1, len(z) // 2)
    return np.stack([z[rng.permutation(len(z))[:half]].mean(0) for _ in range(wanted)])


def cluster_centers(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """The centres of k-means clusters."""
    kmeans = KMeans(wanted, n_init=1, random_state=int(rng.integers(2**31)))
    # The order in which several threads add up their sums changes the last bits.
    with threadpool_limits(1, user_api="openmp"):
        return kmeans.fit(z).cluster_centers_.astype(np.float32)


def medoids(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """The samples closest to the centres of k-means clusters, each taken once."""
    chosen: list[int] = []
    for center in cluster_centers(z, wanted, rng):
        distances = _squared_distances(z, center)
        distances[chosen] = np.inf
        chosen.append(int(distances.argmin()))
    return z[chosen]


def k_centers(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """The sample closest to the mean, then each time the one farthest from those chosen."""
    chosen = [int(_squared_distances(z, z.mean(axis=0)).argmin())]
    nearest = _squared_distances(z, z[chosen[0]])
    while len(chosen) < wanted:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _squared_distances(z, z[chosen[-1]]))
    return z[chosen]


def herding(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """Each time the sample that brings the mean of those chosen closest to the mean of all."""
    mean, chosen = z.mean(axis=0), list[int]()
    for n in range(1, wanted + 1):
        distances = _squared_distances(z, n * mean - z[chosen].sum(axis=0))
        distances[chosen] = np.inf
        chosen.append(int(distances.argmin()))
    return z[chosen]


def _squared_distances(z: Array, point: Array) -> Array:
    """Squared distance of each row of ``z`` to ``point``."""
    return np.square(z - point).sum(axis=1)
