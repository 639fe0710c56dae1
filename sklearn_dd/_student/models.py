"""From an unfitted scikit-learn model to the counterpart that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .machines import SupportVectors, gamma_of
from .trees import Boosting, Forest

_MOST = 1e8  # C of a model without a penalty
_MOST_LOGISTIC = 1e3  # where the optimum is searched for

Make = Callable[[Any, int], of.Counterpart]
"""(model, number of outputs) -> its counterpart."""


def _logistic(model: LogisticRegression, n_outputs: int) -> of.Counterpart:
    _check(
        model, penalty=("l2", "deprecated"), l1_ratio=(None, 0, 0.0), fit_intercept=(True,),
        class_weight=(None,),
    )  # fmt: skip
    # Two weight vectors, one for each class, have half of the penalty of their difference.
    C = min(model.C, _MOST_LOGISTIC)
    return of.Linear(of.LOGISTIC, C=C / 2 if n_outputs == 2 else C)


def _ridge(model: RidgeClassifier, n_outputs: int) -> of.Counterpart:
    _check(model, fit_intercept=(True,), positive=(False,), class_weight=(None,))
    return of.LeastSquares(_inverse(model.alpha))


def _linear_machine(model: LinearSVC, n_outputs: int) -> of.Counterpart:
    _check(
        model, penalty=("l2",), loss=("squared_hinge",), fit_intercept=(True,), class_weight=(None,)
    )
    return of.Linear(of.SQUARED_HINGE, C=model.C)


def _machine(model: SVC, n_outputs: int) -> of.Counterpart:
    _check(model, kernel=("rbf", "linear"), class_weight=(None,))
    return SupportVectors(model)


def _neighbours(model: KNeighborsClassifier, n_outputs: int) -> of.Counterpart:
    _check(model, metric=("minkowski",), weights=("uniform",))
    return of.NearestNeighbours(model.n_neighbors, model.p)


def _centroid(model: NearestCentroid, n_outputs: int) -> of.Counterpart:
    _check(model, metric=("euclidean",), shrink_threshold=(None,), priors=("uniform",))
    return of.NearestCentroid()


def _normal(model: GaussianNB, n_outputs: int) -> of.Counterpart:
    _check(model, priors=(None,))
    return of.GaussianClasses(model.var_smoothing)


def _net(model: MLPClassifier | MLPRegressor, n_outputs: int) -> of.Counterpart:
    widths = tuple(np.ravel(model.hidden_layer_sizes).tolist())
    return of.Net(widths, model.activation, classifies=isinstance(model, MLPClassifier))


def _forest(model: Any, n_outputs: int) -> of.Counterpart:
    _check(
        model, criterion=("gini", "entropy", "log_loss", "squared_error", "friedman_mse"),
        class_weight=(None,),
    )  # fmt: skip
    return Forest(model)


def _boosting(model: Any, n_outputs: int) -> of.Counterpart:
    _check(model, loss=("log_loss", "squared_error"), init=(None,), subsample=(1.0,))
    return Boosting(model)


def _binned_boosting(model: Any, n_outputs: int) -> of.Counterpart:
    """Few samples fill no bins, so that boosting with exact splits is the same."""
    _check(model, loss=("log_loss", "squared_error"), class_weight=(None,))
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
    return of.LeastSquares(_inverse(getattr(model, "alpha", 0.0)))


def _machine_for_numbers(model: SVR, n_outputs: int) -> of.Counterpart:
    _check(model, kernel=("rbf",))
    return of.KernelRidge(model.C, *gamma_of(model.gamma))


def _kernel_ridge(model: KernelRidge, n_outputs: int) -> of.Counterpart:
    _check(model, kernel=("rbf",))
    return of.KernelRidge(_inverse(model.alpha) / 2, *gamma_of(model.gamma), is_centred=False)


def _inverse(alpha: Any) -> float:
    """C for a penalty. Without one, few samples leave the weights open: it is tiny instead."""
    if np.ndim(alpha):
        raise ValueError(f"student has alpha={alpha!r}, which must be one number.")
    return min(1 / alpha if alpha else np.inf, _MOST)


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
    SVR: _machine_for_numbers,
    KernelRidge: _kernel_ridge,
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


def register_counterpart(kind: type, make: Make) -> None:
    """Let a class of models be a student, by a differentiable function that stands for it.

    It holds for this process. A class that is known already gets the new counterpart.

    Parameters
    ----------
    kind : type
        A class of scikit-learn estimators. Its subclasses count as it.
    make : callable
        ``(model, n_outputs) -> counterpart``, for an unfitted model and the number of classes, or 1
        for numbers. A counterpart is called as ``counterpart(x, y, new, generator)`` with the
        samples (m, n_features) that the model learns from, class probabilities or numbers
        (m, n_outputs), new samples (n, n_features), and a ``torch.Generator`` of what it draws. It
        returns outputs (n, n_outputs) that autograd can differentiate with respect to ``x``. The
        class with the largest output is what the model predicts. It must have two attributes:
        ``is_random``, whether it draws anything, and ``share``, 1.0 or the share of the iterations
        that it takes part in beside other students, if it takes long.

    Raises
    ------
    TypeError
        If ``kind`` is no class of estimators, or ``make`` cannot be called.
    ValueError
        If another class of this name has a counterpart: files name classes.

    See Also
    --------
    DatasetDistiller : Takes the models as ``student``.

    Examples
    --------
    A model that knows the mean of each class and nothing else:

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.neighbors import NearestCentroid
    >>> from sklearn_dd import DatasetDistiller, register_counterpart
    >>> class Means(NearestCentroid):
    ...     pass
    >>> class MeansCounterpart:
    ...     is_random, share = False, 1.0
    ...     def __call__(self, x, y, new, generator):
    ...         means = y.T @ x / y.sum(0)[:, None]
    ...         return -(new[:, None] - means).square().sum(2)
    >>> register_counterpart(Means, lambda model, n_outputs: MeansCounterpart())
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(student=Means(), max_iter=20, random_state=0).fit(X, y)
    >>> distiller.score(X, y) > 0.9
    True
    """
    if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
        raise TypeError(f"kind must be a class of scikit-learn estimators, got {kind!r}.")
    if not callable(make):
        raise TypeError(f"make must be callable, (model, n_outputs) -> counterpart, got {make!r}.")
    if any(known is not kind and known.__name__ == kind.__name__ for known in COUNTERPARTS):
        raise ValueError(
            f"kind={kind!r} has the name of another class with a counterpart. Rename it, because "
            "files of distilled data name classes."
        )
    COUNTERPARTS[kind] = make


def counterpart_of(model: BaseEstimator, n_outputs: int) -> of.Counterpart:
    """The counterpart of an unfitted scikit-learn model.

    Parameters
    ----------
    model : estimator
        A model of one of the classes in ``COUNTERPARTS``, or of a subclass.
    n_outputs : int
        Number of classes.
    """
    kinds = (kind for kind in type(model).__mro__ if kind in COUNTERPARTS)
    kind = next(kinds, None)
    if kind is None or not {*parameter_names(kind)} <= model.get_params(deep=False).keys():
        known = ", ".join(sorted(kind.__name__ for kind in COUNTERPARTS))
        raise TypeError(
            f"student={model!r} has no differentiable counterpart to distil for. Take one of "
            f"{known}, or a net; or give it one with register_counterpart. To score "
            f"{type(model).__name__} on the result, pass it to evaluate or compare."
        )
    found = COUNTERPARTS[kind](model, n_outputs)
    missing = [name for name in ("is_random", "share") if not hasattr(found, name)]
    if missing:
        raise TypeError(f"The counterpart {found!r} of {kind.__name__} must have {missing}.")
    return found


def parameter_names(kind: type) -> Sequence[str]:
    """The parameters of a class of models."""
    return kind._get_param_names()  # type: ignore[attr-defined]


def _check(model: Any, **allowed: tuple[Any, ...]) -> None:
    """Refuse values of parameters that the counterpart does not know."""
    for name, values in allowed.items():
        given = getattr(model, name, values[0])
        if not any(given is value or (np.isscalar(given) and given == value) for value in values):
            raise ValueError(
                f"student={model!r} has {name}={given!r}, but its differentiable counterpart "
                f"knows {name} only as {' or '.join(map(repr, values))}."
            )
