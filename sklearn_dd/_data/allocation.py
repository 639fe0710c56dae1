"""How many synthetic samples each class gets, where only their total is given."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from .arrays import Array

_MAX_ROWS = 1000  # of a class that are looked at


def total_samples(n_samples: Any, n_rows: int, n_classes: int, n_steps: int) -> int:
    """The number of synthetic samples that ``n_samples``, a number or a share, stands for."""
    if n_samples is None:
        raise ValueError(
            "n_per_class='auto' divides n_samples over the classes, but n_samples is None. Give "
            "n_samples, the number of all synthetic samples or their share of X, or n_per_class."
        )
    whole = isinstance(n_samples, Integral)
    total = int(n_samples) if whole else int(n_samples * n_rows)
    if total < n_classes * n_steps:
        raise ValueError(
            f"n_samples={n_samples} stands for {total} synthetic samples, but each of the "
            f"{n_classes} classes needs one in each of the n_steps={n_steps} mini-batches. Give at "
            f"least {n_classes * n_steps}."
        )
    return total


def allocate(X: Array, y: Array, n_classes: int, total: int, n_steps: int) -> Array:
    """Samples of each class in one mini-batch (n_classes,); they add up to ``total`` or just less.

    Sample after sample goes to the class whose squared distance to its nearest k-means centre,
    summed over all its rows, falls the most: a large or diverse class needs more.
    """
    by_class = [np.flatnonzero(y == c) for c in range(n_classes)]
    scale = np.ones(X.shape[1]) if X.dtype.kind not in "fiu" else _scale(X)
    errors = [_errors(X[_spread(rows)] / scale, len(rows), total // n_steps) for rows in by_class]
    counts = np.ones(n_classes, dtype=np.int64)
    for _ in range(total // n_steps - n_classes):
        gains = [error[k - 1] - error[k] for error, k in zip(errors, counts, strict=True)]
        counts[int(np.argmax(gains))] += 1
    return counts


def _spread(rows: Array) -> Array:
    """At most ``_MAX_ROWS`` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MAX_ROWS)).astype(np.int64)]


def _scale(X: Array) -> Array:
    scale = X[_spread(np.arange(len(X)))].astype(np.float64).std(axis=0)
    return np.where(scale > 0, scale, 1.0)


def _errors(z: Array, n_rows: int, most: int) -> Array:
    """Sum of squared distances with 1, 2, ..., most + 1 centres; powers of 2 are computed."""
    known, k = {}, 1
    with threadpool_limits(1, user_api="openmp"):  # so that sums do not depend on threads
        while k <= min(2 * most, len(np.unique(z, axis=0))):
            known[k] = KMeans(k, n_init=1, random_state=0).fit(z).inertia_ * n_rows / len(z)
            k *= 2
    # Between the powers of 2, the error falls as a power of the number of centres.
    at, values = np.array([*known]), np.array([*known.values()])
    tiny = np.finfo(float).tiny
    found = np.interp(np.log(np.arange(1, most + 2)), np.log(at), np.log(values + tiny))
    return np.exp(found)
