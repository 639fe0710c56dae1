"""From an unfitted scikit-learn model to the counterpart that stands for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from .._engine import counterparts as of
from .trees import Boosting, Forest

Make = Callable[[Any, int], of.Counterpart]
"""(model, number of outputs) -> its counterpart."""


def _logistic(model: LogisticRegression, n_outputs: int) -> of.Counterpart:
    _check(model, penalty=("l2", "deprecated"), fit_intercept=(True,), class_weight=(None,))
    # Two weight vectors, one for each class, have half of the penalty of their difference.
    return of.Linear(of.LOGISTIC, C=model.C / 2 if n_outputs == 2 else model.C)


def _ridge(model: RidgeClassifier, n_outputs: int) -> of.Counterpart:
    _check(model, fit_intercept=(True,), positive=(False,), class_weight=(None,))
    return of.Linear(of.SQUARES, C=1 / model.alpha)


def _linear_machine(model: LinearSVC, n_outputs: int) -> of.Counterpart:
    _check(model, penalty=("l2",), fit_intercept=(True,), class_weight=(None,))
    return of.Linear(of.SQUARED_HINGE, C=model.C)


def _machine(model: SVC, n_outputs: int) -> of.Counterpart:
    _check(model, kernel=("rbf", "linear"), class_weight=(None,))
    if model.kernel == "linear":
        return of.Linear(of.SQUARED_HINGE, C=model.C)
    return of.KernelRidge(model.C, None if model.gamma == "scale" else model.gamma)


def _neighbours(model: KNeighborsClassifier, n_outputs: int) -> of.Counterpart:
    _check(model, metric=("minkowski",), weights=("uniform",))
    return of.NearestNeighbours(model.n_neighbors, model.p)


def _centroid(model: NearestCentroid, n_outputs: int) -> of.Counterpart:
    _check(model, metric=("euclidean",), shrink_threshold=(None,))
    return of.NearestCentroid()


def _normal(model: GaussianNB, n_outputs: int) -> of.Counterpart:
    _check(model, priors=(None,))
    return of.GaussianClasses(model.var_smoothing)


def _net(model: MLPClassifier | MLPRegressor, n_outputs: int) -> of.Counterpart:
    widths = tuple(np.ravel(model.hidden_layer_sizes).tolist())
    return of.Net(widths, model.activation, classifies=isinstance(model, MLPClassifier))


def _forest(model: Any, n_outputs: int) -> of.Counterpart:
    _check(model, class_weight=(None,))
    return Forest(model)


def _boosting(model: Any, n_outputs: int) -> of.Counterpart:
    return Boosting(model)


def _binned_boosting(model: Any, n_outputs: int) -> of.Counterpart:
    """Few samples fill no bins, so that boosting with exact splits is the same."""
    _check(model, class_weight=(None,))
    is_for_classes = isinstance(model, HistGradientBoostingClassifier)
    exact = GradientBoostingClassifier if is_for_classes else GradientBoostingRegressor
    return Boosting(
        exact(
            learning_rate=model.learning_rate, n_estimators=model.max_iter,
            max_depth=model.max_depth, max_leaf_nodes=model.max_leaf_nodes,
            min_samples_leaf=model.min_samples_leaf,
        )
    )  # fmt: skip


def _least_squares(model: LinearRegression | Ridge, n_outputs: int) -> of.Counterpart:
    _check(model, fit_intercept=(True,), positive=(False,))
    # Without a penalty, fewer samples than features leave the weights open: it is tiny instead.
    return of.Linear(of.SQUARES, C=1 / getattr(model, "alpha", 1e-6))


def _kernel_machine(model: SVR | KernelRidge, n_outputs: int) -> of.Counterpart:
    _check(model, kernel=("rbf",))
    C = model.C if isinstance(model, SVR) else 1 / (2 * model.alpha)
    return of.KernelRidge(C, None if model.gamma in ("scale", None) else model.gamma)


def _neighbour_means(model: KNeighborsRegressor, n_outputs: int) -> of.Counterpart:
    _check(model, metric=("minkowski",), weights=("uniform",))
    return of.NeighbourMeans(model.n_neighbors, model.p)


COUNTERPARTS: dict[type, Make] = {
    LogisticRegression: _logistic,
    RidgeClassifier: _ridge,
    LinearSVC: _linear_machine,
    SVC: _machine,
    KNeighborsClassifier: _neighbours,
    NearestCentroid: _centroid,
    GaussianNB: _normal,
    LinearRegression: _least_squares,
    Ridge: _least_squares,
    SVR: _kernel_machine,
    KernelRidge: _kernel_machine,
    KNeighborsRegressor: _neighbour_means,
    MLPClassifier: _net,
    MLPRegressor: _net,
    **dict.fromkeys(
        (
            DecisionTreeClassifier,
            ExtraTreeClassifier,
            RandomForestClassifier,
            ExtraTreesClassifier,
            DecisionTreeRegressor,
            ExtraTreeRegressor,
            RandomForestRegressor,
            ExtraTreesRegressor,
        ),
        _forest,
    ),
    **dict.fromkeys((GradientBoostingClassifier, GradientBoostingRegressor), _boosting),
    **dict.fromkeys(
        (HistGradientBoostingClassifier, HistGradientBoostingRegressor), _binned_boosting
    ),
}


def counterpart_of(model: BaseEstimator, n_outputs: int) -> of.Counterpart:
    """The counterpart of an unfitted scikit-learn model.

    Parameters
    ----------
    model : estimator
        A model of one of the classes in ``COUNTERPARTS``, or of a subclass.
    n_outputs : int
        Number of classes.
    """
    make = next((COUNTERPARTS[kind] for kind in type(model).__mro__ if kind in COUNTERPARTS), None)
    if make is None:
        known = ", ".join(sorted(kind.__name__ for kind in COUNTERPARTS))
        raise TypeError(
            f"student={model!r} has no differentiable counterpart to distil for. Take one of "
            f"{known}, or a net. To score {type(model).__name__} on the result, pass it to "
            "evaluate or compare."
        )
    return make(model, n_outputs)


def _check(model: Any, **allowed: tuple[Any, ...]) -> None:
    """Refuse values of parameters that the counterpart does not know."""
    for name, values in allowed.items():
        given = getattr(model, name, values[0])
        if given not in values:
            raise ValueError(
                f"student={model!r} has {name}={given!r}, but its differentiable counterpart "
                f"knows {name} only as {' or '.join(map(repr, values))}."
            )
