"""Checks of the X and y that users pass. They raise a clear error or return uniform arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from .arrays import Array, on_host
from .table import Table


def remember_columns(estimator: Any, frame: Any) -> None:
    """Let the estimator know the columns of a table, and not those of its numbers."""
    validate_data(estimator, frame, skip_check_array=True)


def encoded(estimator: Any, X: Any, table: Table | None) -> Any:
    """A table as numbers, its names checked if an estimator knows them; anything else as it is."""
    if table is None:
        return X
    if not hasattr(X, "columns"):
        raise ValueError(
            f"X must be a DataFrame with the columns that were fitted, because some of them are no "
            f"plain numbers, but got {type(X).__name__}."
        )
    if estimator is not None:
        validate_data(estimator, X, reset=False, skip_check_array=True)
    return table.encode(X)


def multiclass_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """Check multiclass data; return flat samples, class indices, classes and a sample's shape."""
    if y is None:
        raise ValueError(
            "fit requires y to be passed, but the target y is None: give a class for each sample."
        )
    if is_multilabel(y):
        raise ValueError(
            f"y must hold one class for each sample, but has shape {np.shape(y)}: only "
            "DatasetDistiller.fit takes multilabel targets."
        )
    flat, input_shape = _flatten(X)
    X, y = _validate(estimator, flat, y=on_host(y), ensure_min_samples=2)
    check_classification_targets(y)
    classes, y = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least 2 classes, but it has only one class, {classes[0]!r}. Add "
            "samples of another class."
        )
    return X, y, classes, input_shape or X.shape[1:]


def multilabel_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, tuple[int, ...]]:
    """Check multilabel data; return flat samples, labels (n, n_labels) and a sample's shape."""
    flat, input_shape = _flatten(X)
    names = getattr(y, "columns", None)
    X, y = _validate(estimator, flat, y=dense(y), ensure_min_samples=2, multi_output=True)
    y = indicators(y, y.shape[1], len(X))
    missing = np.flatnonzero(~y.any(axis=0))
    if len(missing):
        columns = missing.tolist() if names is None else [names[k] for k in missing]
        raise ValueError(
            f"y must hold each label at least once, but no sample has the labels of columns "
            f"{columns}. Leave these columns out."
        )
    return X, y, input_shape or X.shape[1:]


def regression_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, tuple[int, ...]]:
    """Check regression data; return flat samples, targets (n,) and a sample's shape."""
    flat, input_shape = _flatten(X)
    y = _as_float(y)
    if y is not None and y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y must hold one number for each sample, but has shape {y.shape}: fit a regressor for "
            "each column."
        )
    X, y = _validate(estimator, flat, y=y, ensure_min_samples=2, y_numeric=True)
    return X, y, input_shape or X.shape[1:]


def new_samples(estimator: Any, X: Any) -> Array:
    """Flat samples, checked to have the features and the layout of those passed to ``fit``."""
    if (table := estimator.recipe_.table) is not None:
        return _validate(None, encoded(estimator, X, table))
    flat, shape = _flatten(X)
    checked = _validate(estimator, flat, reset=False)
    check_layout(shape, estimator.recipe_.units.input_shape, type(estimator).__name__)
    return checked


def samples_for(X: Any, input_shape: tuple[int, ...], table: Table | None) -> Array:
    """Flat samples, checked against a shape, for distilled data without their distiller."""
    flat, shape = _flatten(encoded(None, X, table))
    checked = _validate(None, flat)
    expected = math.prod(input_shape)
    if checked.shape[1] != expected:
        raise ValueError(
            f"X has {checked.shape[1]} features, but the distilled data have {expected}, of shape "
            f"{input_shape}. Pass samples with the features of the distilled ones."
        )
    check_layout(shape, input_shape, "DistilledData")
    return checked


def check_layout(shape: tuple[int, ...] | None, expected: tuple[int, ...], who: str) -> None:
    """Refuse images whose axes are in another order than in ``fit``."""
    if shape is not None and len(expected) > 1 and shape != expected:
        raise ValueError(
            f"X has samples of shape {shape}, but {who} is expecting {expected}, as passed to fit. "
            "Move its axes, or flatten it in that order."
        )


def is_multilabel(y: Any) -> bool:
    """Whether y is multilabel: a column for each of two or more labels."""
    try:
        y = np.asarray(dense(y))
    except ValueError as error:
        raise ValueError(
            "y must hold one class for each sample, or 1 and 0 for each of several labels, but its "
            "entries differ in length. Encode sets of labels with "
            "sklearn.preprocessing.MultiLabelBinarizer."
        ) from error
    return y.ndim == 2 and y.shape[1] > 1


def class_indices(y: Any, classes: Array, n_samples: int) -> Array:
    """The indices into ``classes`` of n_samples class labels."""
    y = column_or_1d(on_host(y))
    index = {c: i for i, c in enumerate(classes.tolist())}
    unknown = list(dict.fromkeys(c for c in y.tolist() if c not in index))
    if len(y) != n_samples:
        raise ValueError(f"y must have a label for each sample, {n_samples}, but has {len(y)}.")
    if unknown:
        raise ValueError(
            f"y must hold classes that the fit knows, {classes.tolist()}, but it also "
            f"has {unknown}."
        )
    return np.array([index[c] for c in y.tolist()])


def indicators(y: Any, n_labels: int, n_samples: int) -> Array:
    """Multilabel targets (n_samples, n_labels), checked to be 1 and 0, as float32."""
    y = np.asarray(dense(y))
    if y.shape != (n_samples, n_labels) or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"y must hold 0 or 1 for each of {n_samples} samples and {n_labels} labels, but has "
            f"shape {y.shape} and holds {np.unique(y)[:4].tolist()}. Encode it with "
            "sklearn.preprocessing.MultiLabelBinarizer."
        )
    return y.astype(np.float32)


def continuous(y: Any, n_samples: int) -> Array:
    """The regression targets of ``n_samples`` samples, checked to be finite."""
    y = column_or_1d(_as_float(y))
    if len(y) != n_samples:
        raise ValueError(f"y must have a number for each sample, {n_samples}, but has {len(y)}.")
    if not np.isfinite(y).all():
        raise ValueError("y must be finite, but has NaN or infinity. Leave these samples out.")
    return y


def samples_per_step(
    n_per_class: int | str | Mapping[Any, int], n_steps: int, classes: Array
) -> Array:
    """The number of synthetic samples of each class in one mini-batch."""
    if isinstance(n_per_class, str):
        raise ValueError(
            f"n_per_class={n_per_class!r} needs a multiclass y, but this y has several labels. "
            "Give the number of samples of each label."
        )
    if isinstance(n_per_class, Mapping):
        if set(n_per_class) != set(classes.tolist()):
            raise ValueError(
                "n_per_class must name each class of y once, "
                f"{classes.tolist()}, but names {list(n_per_class)}."
            )
        counts = np.array([n_per_class[c] for c in classes.tolist()])
        if not np.issubdtype(counts.dtype, np.integer) or counts.min() < 1:
            raise ValueError(
                f"n_per_class must be an integer of at least 1 for each class, got {n_per_class}."
            )
    else:
        counts = np.full(len(classes), n_per_class)
    if (counts % n_steps).any():
        raise ValueError(
            f"n_steps={n_steps} must divide n_per_class={n_per_class}, because each of the n_steps "
            "mini-batches holds the same number of samples of a class. Choose a divisor, or "
            "another n_per_class."
        )
    return counts // n_steps


def _validate(estimator: Any, X: Any, **options: Any) -> Any:
    """Run scikit-learn's checks, and name the columns that an error is about."""
    try:
        checked = (
            validate_data(estimator, X, **options) if estimator is not None else check_array(X)
        )
    except ValueError as error:
        columns = _columns(X, _is_refused)
        if not columns:
            raise
        raise ValueError(f"{error}\nX holds such values in {columns}.") from error
    flat = checked[0] if isinstance(checked, tuple) else checked
    wide = flat.dtype.kind == "f" and flat.dtype.itemsize > 4 and flat.size
    if wide and max(-flat.min(), flat.max()) > np.finfo(np.float32).max:
        raise ValueError(
            "X has values too large for float32, in which students compute, in "
            f"{_columns(X, _overflows)}. Scale them down, or take logarithms."
        )
    return checked


def _columns(X: Any, is_bad: Any) -> str:
    """The bad columns of X, by name or by index, for an error message; "" if there are none."""
    names = list(getattr(X, "columns", ()))
    if not names:
        X = np.asarray(X)
        if X.ndim != 2:
            return ""
    values = (X[name] for name in names) if names else X.T
    bad = [k for k, column in enumerate(values) if is_bad(np.asarray(column))]
    shown = ", ".join(repr(names[k]) if names else str(k) for k in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"column{'s' if len(bad) > 1 else ''} {shown}{more}" if bad else ""


def _is_refused(column: Array) -> bool:
    """Whether a column has values that are not finite real numbers."""
    if column.dtype.kind in "iub":
        return False
    try:
        return column.dtype.kind == "c" or not np.isfinite(column.astype(np.float64)).all()
    except (TypeError, ValueError):
        return True


def _overflows(column: Array) -> bool:
    return bool(np.abs(column.astype(np.float64)).max() > np.finfo(np.float32).max)


def _flatten(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Samples as rows, and the shape of a sample, or None if samples are flat already."""
    X = on_host(X)
    if hasattr(X, "columns") or np.asarray(X).ndim <= 2:
        return X, None
    X = np.asarray(X)
    return X.reshape(len(X), math.prod(X.shape[1:])), X.shape[1:]


def dense(y: Any) -> Any:
    """A sparse y or a tensor as an array; anything else as it is."""
    return y.toarray() if issparse(y) else on_host(y)


def _as_float(y: Any) -> Any:
    if y is None:
        return None  # scikit-learn raises the error
    try:
        y = np.asarray(on_host(y))
        if y.dtype.kind != "c":
            return y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must hold numbers, one for each sample, but {error}. Encode it as numbers, or use "
            "DatasetDistiller for class labels."
        ) from error
    raise ValueError("Complex data not supported: y must hold real numbers.")
