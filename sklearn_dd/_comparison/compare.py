"""Compare a distilled set with other small sets and with all the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_random_state, check_scalar
from tqdm.auto import tqdm

from .._baselines import (
    Baseline,
    ClassMeans,
    Herding,
    KCenters,
    KMeansCenters,
    Medoids,
    RandomSamples,
)
from .._distilled import check_multiclass
from .._distillers import FittedClassifier
from .._student import is_model
from .bench import Bench
from .table import Comparison, summarise

_FULL_BATCHES = 1000  # minimum number of mini-batches for students trained on all the data


def compare(
    distiller: Any,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    baselines: Sequence[Any] | None = None,
    students: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    n_inits: int = 20,
    init: Any = None,
    scoring: Any = None,
    n_full: int = 3,
    full_epochs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Comparison:
    """Compare a distilled set with other sets of its size and with all the data.

    Every model is trained on every set and scored on test data. Nothing is chosen on test data.

    Parameters
    ----------
    distiller : DatasetDistiller
        A fitted distiller.
    X_train : array-like of shape (n_samples, n_features) or (n_samples, ...)
        The samples that it was fitted on.
    y_train : array-like of shape (n_samples,)
        Class labels.
    X_test : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Samples that no fit has seen.
    y_test : array-like of shape (n_samples,)
        Class labels.
    baselines : sequence of estimators or None, default=None
        Baselines or other distillers to compare with. Those that are not fitted are fitted on the
        training data. ``None`` takes ``all_baselines(distiller)``. With
        ``all_baselines(distiller, ["fixed"])`` the comparison takes a fraction of the time.
    students : dict or None, default=None
        Name -> another net or model, which is trained on every set in addition to the distiller's
        own students. Baselines choose their step sizes for each net.
    models : dict or None, default=None
        Name -> unfitted scikit-learn classifier, which sees flat, standardised samples. ``None``
        takes logistic regression, a random forest and the nearest neighbour. Models that the
        distiller learned its set for are added.
    n_inits : int, default=20
        Number of nets on each set. All sets share the same held-out initial weights. Models are
        fitted once.
    init : None, {"random", "fixed"}, callable, list, dict, str or path-like, default=None
        Another weight prior for the distiller's own student, such as held-out pre-trained nets.
    scoring : str, callable or None, default=None
        A scikit-learn scorer, by name, such as ``"balanced_accuracy"``, or as
        ``(estimator, X, y) -> float``. ``None`` takes accuracy.
    n_full : int, default=3
        Number of students that are trained on all the data, by ``train_pool``. With 0, no model is
        trained on all the data, and ``hard_label_recovery`` is NaN.
    full_epochs : int or None, default=None
        Number of epochs of these students. They start from random weights, unless the distiller's
        ``init`` is a callable. ``None`` takes 10, or more to reach 1,000 mini-batches of 64.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. ``None`` takes the seed of the distiller.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Comparison
        ``table``, a dict of arrays, and ``verdict``, a summary in words.

    See Also
    --------
    all_baselines : Makes the baselines that are compared by default.

    References
    ----------
    Li et al. (2025), DD-Ranking, arXiv:2505.13300. Hard-label recovery and improvement over random
    are defined there, and its label-robust score is their weighted difference. Here they are
    fractions.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_dd import DatasetDistiller, RandomSamples, compare
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     *load_wine(return_X_y=True), random_state=0
    ... )
    >>> distiller = DatasetDistiller(max_iter=100, random_state=0).fit(X_train, y_train)
    >>> baselines = [RandomSamples(random_state=0)]
    >>> table, verdict = compare(
    ...     distiller, X_train, y_train, X_test, y_test, baselines=baselines, models={}
    ... )
    >>> for row in zip(*(table[name] for name in ("data", "model", "n_samples", "n_scores"))):
    ...     print(*row)
    distilled MLP 3 20
    RandomSamples MLP 3 20
    all data MLP 133 3
    """
    check_multiclass(distiller, "compare")
    check_scalar(n_full, "n_full", Integral, min_val=0)
    if full_epochs is None:
        full_epochs = max(10, math.ceil(_FULL_BATCHES * 64 / len(y_train)))
    check_scalar(full_epochs, "full_epochs", Integral, min_val=1)
    seed = distiller.seed_
    if random_state is not None:
        seed = int(check_random_state(random_state).randint(2**31))
    if baselines is None:
        baselines = all_baselines(distiller, random_state=seed)
    own, own_models = _own(distiller)
    students = {} if students is None else students
    models = _models(seed) if models is None else models
    _check_sets(baselines)
    _check_names([*own, *own_models], students, models)
    models = {**models, **{name: each for name, each in students.items() if is_model(each)}}
    students = {name: each for name, each in students.items() if not is_model(each)}
    bench = Bench(
        distiller,
        (X_train, y_train),
        (X_test, y_test),
        students=own | students,
        models=own_models | models,
        init=init,
        evaluation={"n_inits": n_inits, "random_state": seed, "scoring": scoring},
    )
    n_sets = 1 + (distiller.y_syn_.ndim == 2) + len(baselines)
    sets = tqdm(bench.sets(baselines), total=n_sets, disable=not verbose, unit="set")
    found = [scored for small in sets for scored in bench.scores(small)]
    if n_full:
        found += bench.scores_of_all_data(n_full, full_epochs)
    return summarise(found)


def all_baselines(
    distiller: Any,
    schedules: Sequence[str] = ("fixed", "learned"),
    *,
    n_random: int = 3,
    n_sets: int = 20,
    random_state: Any = None,
) -> list[Baseline]:
    """Make all baselines for the size, the student and the number of steps of a distilled set.

    Parameters
    ----------
    distiller : DatasetDistiller
        A fitted distiller, whose parameters the baselines share. If it was fitted for one known
        net, the baselines use the same net.
    schedules : sequence of {"fixed", "learned"}, default=("fixed", "learned")
        Kinds of schedules. Every baseline is made with each of them.
    n_random : int, default=3
        Number of sets of random samples, because their scores vary a lot.
    n_sets : int, default=20
        Number of random sets from which one further baseline takes the best.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.

    Returns
    -------
    list of Baseline
        Unfitted baselines.

    See Also
    --------
    compare : Fits and scores them.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, all_baselines
    >>> distiller = DatasetDistiller(max_iter=1, random_state=0).fit(*load_wine(return_X_y=True))
    >>> baselines = all_baselines(distiller, ["fixed"], n_random=1)
    >>> print(*(type(baseline).__name__ for baseline in baselines))
    RandomSamples RandomSamples ClassMeans KMeansCenters Medoids KCenters Herding
    """
    check_multiclass(distiller, "all_baselines")
    if isinstance(schedules, str) or not set(schedules) <= {"fixed", "learned"}:
        raise ValueError(
            f'schedules must be a list of "fixed", "learned" or both, got {schedules!r}.'
        )
    check_scalar(n_random, "n_random", Integral, min_val=0)
    own = {"max_iter", "n_inits", "random_state", "verbose"}
    names = set(RandomSamples().get_params(deep=False)) - own
    given = distiller.get_params(deep=False)
    shared = {k: distiller.plan_.get(k, v) for k, v in given.items() if k in names}
    if isinstance(shared["n_per_class"], str):
        shared["n_per_class"] = distiller.n_per_class_
    nets, _ = _own(distiller)
    if None not in nets.values():  # baselines serve one net, the first of several students
        shared["student"] = next(iter(nets.values()), None)
    if not shared["n_epochs"]:
        del shared["n_epochs"]
    if distiller.recipe_.weights is not None:
        shared["init"] = [distiller.recipe_.weights]
    seeds = check_random_state(random_state).randint(2**31, size=n_random + 1).tolist()
    kinds: list[tuple[type[Baseline], dict[str, Any]]] = [
        *((RandomSamples, {"random_state": seed}) for seed in seeds[1:]),
        (RandomSamples, {"n_sets": n_sets}),
        *((kind, {}) for kind in (ClassMeans, KMeansCenters, Medoids, KCenters, Herding)),
    ]
    return [
        kind(**(shared | {"schedule": schedule, "random_state": seeds[0]} | changes))
        for schedule in schedules
        for kind, changes in kinds
    ]


def _check_sets(baselines: Any) -> None:
    if not isinstance(baselines, Sequence):
        raise TypeError(
            "baselines must be a list of baselines or distillers, got "
            f"{type(baselines).__name__}. Wrap one in a list."
        )
    for i, baseline in enumerate(baselines):
        if not isinstance(baseline, FittedClassifier):
            raise TypeError(
                f"baselines[{i}] must be a baseline or a distiller, got {type(baseline).__name__}. "
                "Pass a classifier of scikit-learn in models."
            )


def _own(distiller: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The nets and the models that a distiller learned its set for; None is its one net."""
    recipe = distiller.recipe_
    chosen = recipe.chosen()
    if not isinstance(chosen, list | tuple):
        if not is_model(chosen):
            return {recipe.spec().name: None}, {}
        chosen = [chosen]
    nets: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for each in chosen:
        kind = name = recipe.spec(each).name
        number = 2
        while name in nets or name in models:  # the same class with other parameters
            name, number = f"{kind} ({number})", number + 1
        (models if is_model(each) else nets)[name] = each
    return nets, models


def _check_names(own: Sequence[str], students: Any, models: Any) -> None:
    """Refuse a name that two models share, because names identify rows of the table."""
    taken = dict.fromkeys(own, "the distiller's own")
    for name, named in {"students": students, "models": models}.items():
        if not isinstance(named, Mapping):
            raise TypeError(
                f"{name} must be a dict, name -> model, got {type(named).__name__}. Name each "
                "model."
            )
        for shared in named.keys() & taken.keys():
            raise ValueError(
                f"{name} has the name {shared!r}, which is {taken[shared]}. Choose another."
            )
        taken |= dict.fromkeys(named, f"of {name}")


def _models(seed: int) -> dict[str, Any]:
    """The default models."""
    return {
        "logistic regression": LogisticRegression(max_iter=1000, tol=1e-2),
        "random forest": RandomForestClassifier(random_state=seed),
        "nearest neighbour": KNeighborsClassifier(1),
    }
