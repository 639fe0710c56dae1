"""How much each real sample counts."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from .arrays import Array, on_host
from .targets import Continuous, Multiclass, Targets


def counted(X: Array, y: Array, sample_weight: Any) -> tuple[Array, Array, Array | None]:
    """Leave out rows of weight 0; return X, y and the weights of the others."""
    if sample_weight is None:
        return X, y, None
    weights = checked_weights(sample_weight, len(y))
    counts = weights > 0
    return (X, y, weights) if counts.all() else (X[counts], y[counts], weights[counts])


def row_weights(y: Array, targets: Targets, class_weight: Any, sample_weight: Any) -> Array | None:
    """The weight of each row (n,), mean 1; None where all rows count alike.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_outputs)
        Class indices, or other targets.
    targets : Multiclass, Multilabel or Continuous
        What y holds.
    class_weight : dict, "balanced" or None
        As in scikit-learn; for a multiclass y only. ``"balanced"`` gives all classes the same total
        weight, ``sample_weight`` included.
    sample_weight : array-like of shape (n,) or None
        Positive numbers.
    """
    given = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weights = given / given.max()  # so that their sum does not overflow
    if class_weight is not None:
        if not isinstance(targets, Multiclass):
            raise ValueError(
                f"class_weight={class_weight!r} needs a multiclass y, but this y is "
                f"{targets.kind.name.lower()}. Pass sample_weight to fit instead."
            )
        weights = weights * _of_classes(class_weight, targets.values, y, weights)[y]
    if not isinstance(targets, Continuous):
        is_of = np.eye(len(targets.values))[y] if isinstance(targets, Multiclass) else y
        total = weights @ is_of
        if not total.all():
            lost = targets.values[total == 0].tolist()
            raise ValueError(
                f"sample_weight and class_weight give all samples of the classes {lost} a weight "
                "of zero. Leave these samples out, or give them a weight."
            )
    return None if (weights == weights[0]).all() else weights / weights.mean()


def stratified_rows(weights: Array, n: int, positions: Array) -> Array:
    """Draw ``n`` rows with replacement; each comes about as often as its weight says.

    The total weight is cut into n equal strata, and ``positions`` (n,), between 0 and 1, says where
    in its stratum each row is drawn. The mean over the drawn rows is an unbiased estimate of the
    weighted mean, and varies less than with independent draws.
    """
    return rows_at(np.cumsum(weights, dtype=np.float64), positions)


def rows_at(edges: Array, positions: Array) -> Array:
    """As ``stratified_rows``, from the cumulative weights (n_rows,)."""
    n = len(positions)
    at = (np.arange(n) + positions) * (edges[-1] / n)
    return np.minimum(np.searchsorted(edges, at, side="right"), len(edges) - 1)


def checked_weights(sample_weight: Any, n: int) -> Array:
    """Check one weight for each of ``n`` samples."""
    try:
        weights = np.asarray(on_host(sample_weight), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}.") from error
    if weights.ndim == 0 or weights.shape != (n,):
        raise ValueError(
            f"sample_weight must have the shape ({n},), one weight for each sample, but has "
            f"{weights.shape}."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[0]
        raise ValueError(
            "sample_weight must hold finite numbers of at least 0, but sample "
            f"{wrong} has {weights[wrong]}."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight holds a weight of zero for all samples. Give some of them a weight."
        )
    return weights


def _of_classes(class_weight: Any, classes: Array, y: Array, weights: Array) -> Array:
    if isinstance(class_weight, Mapping):
        unknown = [k for k in class_weight if k not in classes.tolist()]
        wrong = {
            k: v
            for k, v in class_weight.items()
            if not isinstance(v, Real) or not 0 <= float(v) < np.inf
        }
        if unknown or wrong:
            raise ValueError(
                f"class_weight={dict(class_weight)!r} must give classes of y, "
                f"{classes.tolist()}, numbers of at least 0. A class that it does not name has "
                "weight 1."
            )
        return np.array([float(class_weight.get(c, 1.0)) for c in classes.tolist()])
    # compute_class_weight takes weights of samples in newer versions of scikit-learn only.
    totals = np.bincount(y, weights, minlength=len(classes))
    return totals.sum() / (len(classes) * np.where(totals > 0, totals, 1.0))
