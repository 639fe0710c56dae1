"""How many synthetic samples each class gets, where only their total is given."""

from __future__ import annotations

import math
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
    # Rounded first, because 0.29 * 100 is just below 29.
    total = int(n_samples) if whole else math.floor(round(float(n_samples) * n_rows, 6))
    if total < n_classes * n_steps:
        raise ValueError(
            f"n_samples={n_samples} stands for {total} synthetic samples, but each of the "
            f"{n_classes} classes needs one in each of the n_steps={n_steps} mini-batches. Give at "
            f"least {n_classes * n_steps}."
        )
    return total


def allocate(
    X: Array,  # (n, n_features)
    y: Array,  # (n,), class indices
    n_classes: int,
    total: int,
    n_steps: int,
    weights: Array | None = None,  # (n,), how much each row counts; None where all count alike
) -> Array:
    """Samples of each class in one mini-batch (n_classes,); they add up to ``total`` or just less.

    Sample after sample goes to the class whose squared distance to its nearest k-means centre,
    summed over all its rows by weight, falls the most: a large, heavy or diverse class needs more.
    Where nothing falls, it goes to the class with the most rows for each of its samples.
    """
    weights = np.ones(len(y)) if weights is None else weights
    by_class = [np.flatnonzero(y == c) for c in range(n_classes)]
    scale = np.ones(X.shape[1]) if X.dtype.kind not in "fiu" else _scale(X)
    errors = [_errors(X, rows, weights, scale, total // n_steps) for rows in by_class]
    sizes, counts = np.array([len(rows) for rows in by_class]), np.ones(n_classes, dtype=np.int64)
    for _ in range(total // n_steps - n_classes):
        gains = [error[k - 1] - error[k] for error, k in zip(errors, counts, strict=True)]
        counts[np.lexsort((sizes / counts, gains))[-1]] += 1
    return counts


def _spread(rows: Array) -> Array:
    """At most ``_MAX_ROWS`` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MAX_ROWS)).astype(np.int64)]


def _scale(X: Array) -> Array:
    scale = X[_spread(np.arange(len(X)))].astype(np.float64).std(axis=0)
    return np.where(scale > 0, scale, 1.0)


def _errors(X: Array, rows: Array, weights: Array, scale: Array, most: int) -> Array:
    """Sum of squared distances with 1, 2, ..., most + 1 centres; powers of 2 are computed."""
    seen = _spread(rows)
    z, w = X[seen] / scale, weights[seen] / weights[seen].max()  # 1 where all count alike
    n_distinct, share = len(np.unique(z, axis=0)), weights[rows].sum() / w.sum()
    known, k = {}, 1
    with threadpool_limits(1, user_api="openmp"):  # so that sums do not depend on threads
        while k <= min(2 * most, n_distinct):
            fitted = KMeans(k, n_init=1, random_state=0).fit(z, sample_weight=w)
            known[k] = fitted.inertia_ * share
            k *= 2
    # Between the powers of 2, the error falls as a power of the number of centres; beyond the last,
    # it falls in a line to 0, where each distinct row has a centre of its own.
    at, values = np.array([*known]), np.array([*known.values()])
    tiny, ks = np.finfo(float).tiny, np.arange(1, most + 2)
    between = np.exp(np.interp(np.log(ks), np.log(at), np.log(values + tiny)))
    left = np.clip((n_distinct - ks) / max(n_distinct - at[-1], 1), 0, 1)
    return np.where(ks <= at[-1], between, values[-1] * left)
