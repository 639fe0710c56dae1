"""What a distiller is given, checked and brought into one form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from .data import Array
from .engine.seeds import Stream, fold

_MAX_HELD_OUT = 2000  # samples: then the standard error of an accuracy of 0.95 is half a point


P = ParamSpec("P")
R = TypeVar("R")


def with_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """Let ``function`` differentiate also where its caller has told torch not to."""

    @wraps(function)
    def differentiating(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.enable_grad():
            return function(*args, **kwargs)

    return differentiating


def all_or_nothing(fit: Callable[P, R]) -> Callable[P, R]:
    """Leave an estimator as it was where its ``fit`` fails; let it differentiate anywhere."""

    @wraps(fit)
    def fit_or_leave(*args: P.args, **kwargs: P.kwargs) -> R:
        estimator: Any = args[0]
        state: dict[str, Any] = vars(estimator)
        before = dict(state)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                return fit(*args, **kwargs)
        except BaseException:
            state.clear()
            state.update(before)
            raise

    return fit_or_leave


def training_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """Flat samples, class indices, classes and the shape in which a sample was given."""
    if y is None:
        raise ValueError(
            "fit requires y to be passed, but the target y is None: give a class for each sample."
        )
    if is_multilabel(y):
        raise ValueError(
            f"y must hold one class for each sample, but has shape {np.shape(y)}: only "
            "DatasetDistiller.fit takes several labels a sample."
        )
    flat, input_shape = _flatten(X)
    X, y = validate_data(estimator, flat, y=_on_host(y), ensure_min_samples=2)
    check_classification_targets(y)
    classes, y = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            "y must hold at least 2 classes, but it has only one class, "
            f"{classes[0]!r}. There is nothing to tell apart: add samples of another."
        )
    return _fits_float32(X), y, classes, input_shape or X.shape[1:]


def is_multilabel(y: Any) -> bool:
    """Whether y has a column for each of several labels."""
    try:
        y = np.asarray(_dense(y))
    except ValueError as error:
        raise ValueError(
            "y must hold one class for each sample, or 1 and 0 for each of several labels, but its "
            "entries differ in length. Encode sets of labels by "
            "sklearn.preprocessing.MultiLabelBinarizer."
        ) from error
    return y.ndim == 2 and y.shape[1] > 1


def multilabel_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, tuple[int, ...]]:
    """Flat samples, their labels (n, n_labels) and the shape in which a sample was given."""
    flat, input_shape = _flatten(X)
    X, y = validate_data(estimator, flat, y=_dense(y), ensure_min_samples=2, multi_output=True)
    y = indicators(y, y.shape[1], len(X))
    missing = np.flatnonzero(~y.any(axis=0))
    if len(missing):
        raise ValueError(
            "y must hold each label at least once, but no sample has those of columns "
            f"{missing.tolist()}. Leave these columns out."
        )
    return _fits_float32(X), y, input_shape or X.shape[1:]


def indicators(y: Any, n_labels: int, n_samples: int) -> Array:
    """Whether each of ``n_samples`` samples has each label, as 1 and 0, (n_samples, n_labels)."""
    y = np.asarray(_dense(y))
    if y.shape != (n_samples, n_labels) or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"y must hold 0 or 1 for each of {n_samples} samples and {n_labels} labels, but has "
            f"shape {y.shape} and holds {np.unique(y)[:4].tolist()}. Encode it by "
            "sklearn.preprocessing.MultiLabelBinarizer."
        )
    return y.astype(np.float32)


def rarest_labels(y: Array) -> Array:
    """That of each sample's labels (n, n_labels) that the fewest samples have; -1 for no label."""
    counts = np.where(y == 1, y.sum(axis=0), np.inf)
    return np.where(y.any(axis=1), counts.argmin(axis=1), -1)


def _dense(y: Any) -> Any:
    return y.toarray() if issparse(y) else _on_host(y)


def regression_set(estimator: Any, X: Any, y: Any) -> tuple[Array, Array, tuple[int, ...]]:
    """Flat samples, their numbers and the shape in which a sample was given."""
    flat, input_shape = _flatten(X)
    y = _as_numbers(y)
    if y is not None and y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y must hold one number for each sample, but has shape {y.shape}: fit a regressor for "
            "each column."
        )
    X, y = validate_data(estimator, flat, y=y, ensure_min_samples=2, y_numeric=True)
    return _fits_float32(X), y, input_shape or X.shape[1:]


def _as_numbers(y: Any) -> Any:
    if y is None:
        return None  # which scikit-learn refuses in its own words
    try:
        return np.asarray(_on_host(y)).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must hold numbers, one for each sample, but {error}. Encode it as numbers, or take "
            "DatasetDistiller for class labels."
        ) from error


def numbers(y: Any, n_samples: int) -> Array:
    """The numbers of ``n_samples`` samples."""
    y = column_or_1d(_as_numbers(y))
    if len(y) != n_samples:
        raise ValueError(f"y must have a number for each sample, {n_samples}, but has {len(y)}.")
    if not np.isfinite(y).all():
        raise ValueError("y must be finite, but has NaN or infinity. Leave these samples out.")
    return y


def new_samples(estimator: Any, X: Any) -> Array:
    """Flat samples, with the features and the layout that ``fit`` was given."""
    flat, shape = _flatten(X)
    checked = validate_data(estimator, flat, reset=False)
    expected = estimator.recipe_.standardize.input_shape
    if shape is not None and len(expected) > 1 and shape != expected:
        raise ValueError(
            f"X has samples of shape {shape}, but {type(estimator).__name__} is expecting "
            f"{expected}, as fit was given. Move its axes, or flatten it in that order."
        )
    return _fits_float32(checked)


def _fits_float32(X: Array) -> Array:
    """Samples without values that float32, in which students compute, cannot hold."""
    wide = X.dtype.kind == "f" and X.dtype.itemsize > 4 and X.size
    if wide and max(-X.min(), X.max()) > np.finfo(np.float32).max:
        raise ValueError(
            "X has values too large for float32, in which students compute. Scale it down, or take "
            "logarithms."
        )
    return X


def _on_host(values: Any) -> Any:
    """A tensor as an array, all else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()  # NumPy has no bfloat16
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _flatten(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Samples as rows, and the shape of one where it is not flat."""
    X = _on_host(X)
    if hasattr(X, "columns") or np.asarray(X).ndim <= 2:
        return X, None
    X = np.asarray(X)
    return X.reshape(len(X), math.prod(X.shape[1:])), X.shape[1:]


def class_indices(y: Any, classes: Array, n_samples: int) -> Array:
    """Indices into ``classes`` of the labels of ``n_samples`` samples."""
    y = column_or_1d(_on_host(y))
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


def samples_per_step(n_per_class: int | Mapping[Any, int], n_steps: int, classes: Array) -> Array:
    """How many synthetic samples of each class a mini-batch holds."""
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
            f"n_steps={n_steps} must divide n_per_class={n_per_class}, because each of the "
            "n_steps mini-batches holds the same number of samples of a class. Choose a "
            "divisor, or another n_per_class."
        )
    return counts // n_steps


def hold_out(y: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Rows to train on and rows held out, the same share of every class."""
    rng = np.random.default_rng(fold(seed, Stream.HELD_OUT))
    fraction = min(fraction, _MAX_HELD_OUT / len(y))
    held_out = np.zeros(len(y), dtype=bool)
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        held_out[rows[: int(fraction * len(rows))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
