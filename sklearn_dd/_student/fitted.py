"""Scikit-learn models that learn from distilled data."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.utils.validation import has_fit_parameter

from .._data import Array, Continuous, Multilabel, Standardize, Table, Targets

_STEADY = LogisticRegression, Ridge, RidgeClassifier, SVC  # their seed changes next to nothing


class InUnits(TransformerMixin, BaseEstimator):
    """Samples of X, standardised as they were for the fit, and flat.

    Parameters
    ----------
    units : Standardize
        The affine map.
    table : Table or None
        How a DataFrame of mixed columns becomes numbers.
    """

    def __init__(self, units: Standardize, table: Table | None = None) -> None:
        self.units, self.table = units, table

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: the units are those of the training data."""
        return self

    def transform(self, X: Any) -> Array:
        """Standardise samples (n, ...) and return them flat (n, n_features)."""
        if self.table is not None and hasattr(X, "columns"):
            X = self.table.encode(X)
        X = np.asarray(X)
        chunks = self.units.chunks(X.reshape(len(X), -1))
        return np.concatenate([z.flatten(1).numpy() for z in chunks])


def is_random(model: BaseEstimator) -> bool:
    """Whether a seed that the user has not set changes what the model learns."""
    return bool(_open_seeds(model)) and not isinstance(model, _STEADY)


def seeded(model: BaseEstimator, seed: int) -> Any:
    """A copy whose open seeds are set."""
    return clone(model).set_params(**dict.fromkeys(_open_seeds(model), seed))


def _open_seeds(model: BaseEstimator) -> list[str]:
    """The parameters that are seeds, and None."""
    parameters = model.get_params().items()
    return [k for k, v in parameters if k.split("__")[-1] == "random_state" and v is None]


def fit_model(
    model: BaseEstimator,
    units: Standardize,
    targets: Targets,
    X: Array,  # (n, *input_shape)
    y: Array,  # as DistilledData holds it
    seed: int,
    table: Table | None = None,
) -> Any:
    """Fit a copy of a model to distilled data, in standardised units.

    It predicts for samples in the units of X. Labels that were learned become rows with weights; a
    model that takes no weights gets the likeliest class.
    """
    model = seeded(model, seed)
    takes_weights = has_fit_parameter(model, "sample_weight")
    pipeline = Pipeline([("units", InUnits(units, table)), ("model", model)])
    if isinstance(targets, Continuous):
        about = {"shift": targets.shift, "scale": targets.scale}
        standardised = FunctionTransformer(_standardise, _restore, kw_args=about, inv_kw_args=about)
        standardised.set_output(transform="default")
        pipeline = TransformedTargetRegressor(pipeline, transformer=standardised)
        return pipeline.fit(X, y)
    if isinstance(targets, Multilabel):
        return pipeline.fit(X, (y > 0.5).astype(np.int64))
    if y.ndim == 1:
        return pipeline.fit(X, y)
    if not takes_weights:
        return pipeline.fit(X, targets.values[y.argmax(1)])
    X, y, weights = weighted_rows(X, y, targets.values)
    return pipeline.fit(X, y, model__sample_weight=weights)


def weighted_rows(X: Array, y: Array, classes: Array) -> tuple[Array, Array, Array]:
    """A row for each sample and class of positive weight: X, class labels and weights.

    The weights of a sample add up to 1. Learned labels that are negative count as 0.
    """
    shares = np.clip(y, 0, None)
    shares = shares / np.maximum(shares.sum(1, keepdims=True), np.finfo(shares.dtype).tiny)
    rows, of = np.nonzero(shares)
    X = X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows]
    return X, classes[of], shares[rows, of]


def _standardise(y: Array, shift: float, scale: float) -> Array:
    return (y - shift) / scale


def _restore(y: Array, shift: float, scale: float) -> Array:
    return y * scale + shift
