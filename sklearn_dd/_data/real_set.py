"""X and y after the checks of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .allocation import allocate, total_samples
from .arrays import Array
from .checks import (
    is_multilabel,
    multiclass_set,
    multilabel_set,
    regression_set,
    remember_columns,
    samples_per_step,
)
from .table import Table, is_table
from .targets import Continuous, Multiclass, Multilabel, Targets
from .weights import counted, row_weights


class RealSet(NamedTuple):
    """Checked X and y, and what is derived from them."""

    X: Array  # (n, n_features)
    y: Array  # class indices (n,), labels as 1 and 0 (n, n_labels) or standardised targets (n, 1)
    strata: Array  # (n,); the same fraction of each stratum is held out
    input_shape: tuple[int, ...]
    targets: Targets
    counts: Array  # synthetic samples of each class in one mini-batch; (1,) in a regression
    weights: Array | None = None  # (n,), how much each sample counts; None where all count alike
    table: Table | None = None  # what X was encoded with, unless it was plain numbers


def classification_data(
    estimator: Any,
    X: Any,
    y: Any,
    n_per_class: int | str | Mapping[Any, int],
    n_steps: int,
    *,
    n_samples: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    multilabel: bool = True,
) -> RealSet:
    """Check the X and y of a classifier. With ``multilabel``, y may have several columns."""
    if n_samples is not None and n_per_class != "auto":
        raise ValueError(
            f"n_samples={n_samples} is divided over the classes with n_per_class='auto', but "
            f"n_per_class={n_per_class}. Give one of them."
        )
    targets: Targets
    frame, table = X, _table(X, sample_weight)
    X = X if table is None else table.encode(X)
    if multilabel and is_multilabel(y):
        X, y, input_shape = multilabel_set(estimator, X, y)
        X, y, weights = counted(X, y, sample_weight)
        targets, strata = Multilabel(y.shape[1]), _rarest_labels(y)
    else:
        X, y, classes, input_shape = multiclass_set(estimator, X, y)
        X, y, weights = counted(X, y, sample_weight)
        targets, strata = Multiclass(classes), y
    weights = row_weights(y, targets, class_weight, weights)
    if n_per_class == "auto" and isinstance(targets, Multiclass):
        n_classes = len(targets.values)
        total = total_samples(n_samples, len(y), n_classes, n_steps)
        counts = allocate(X, y, n_classes, total, n_steps, weights)
    else:
        counts = samples_per_step(n_per_class, n_steps, targets.values)
    if table is not None:
        remember_columns(estimator, frame)
    return RealSet(X, y, strata, input_shape, targets, counts, weights, table)


def regression_data(
    estimator: Any, X: Any, y: Any, n_samples: int, n_steps: int, sample_weight: Any = None
) -> RealSet:
    """Check the X and y of a regressor."""
    frame, table = X, _table(X, sample_weight)
    X = X if table is None else table.encode(X)
    X, y, input_shape = regression_set(estimator, X, y)
    if table is not None:
        remember_columns(estimator, frame)
    X, y, weights = counted(X, y, sample_weight)
    if n_samples % n_steps:
        raise ValueError(
            f"n_steps={n_steps} must divide n_samples={n_samples}, because each of the n_steps "
            "mini-batches holds the same number of samples. Choose a divisor, or another n_samples."
        )
    targets, strata = Continuous.fit(y), np.zeros(len(y), dtype=np.int64)
    weights = row_weights(y, targets, None, weights)
    counts = np.array([n_samples // n_steps])
    y = targets.encode(y).numpy()
    return RealSet(X, y, strata, input_shape, targets, counts, weights, table)


def _table(X: Any, sample_weight: Any) -> Table | None:
    """How X is encoded, if it is a table; rows of weight 0 have no say."""
    if not is_table(X):
        return None
    if sample_weight is not None and np.shape(sample_weight) == (len(X),):
        X = X[np.asarray(sample_weight) != 0]
    return Table.of(X)


def _rarest_labels(y: Array) -> Array:
    """The rarest of each sample's labels (n, n_labels); -1 for a sample without a label."""
    counts = np.where(y == 1, y.sum(axis=0), np.inf)
    return np.where(y.any(axis=1), counts.argmin(axis=1), -1)
