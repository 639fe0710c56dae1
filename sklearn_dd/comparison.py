"""One table of a distilled set, what it has to beat, and what it replaces."""

from __future__ import annotations

import copy
import importlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student_t  # type: ignore[import-untyped]
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_random_state, check_scalar
from tqdm.auto import tqdm

from .baselines import Baseline, ClassMeans, Herding, KCenters, KMeansCenters, RandomSamples
from .data import Array, RealData, resolve_device
from .distilled import describe
from .distiller import DatasetDistiller, check_classes
from .evaluation import accuracies
from .pools import train_pool
from .student import learner
from .validation import class_indices, new_samples

_CONFIDENCE = 0.95
_FULL_BATCHES = 1000  # at least, before nets count as trained on all data
_BATCH = 512  # samples that are scored at one time
_HELPED = "helped"
_DISTILLED, _HARD, _ALL = "distilled", "distilled, hard labels", "all data"


class Cell(NamedTuple):
    """Which model was trained on what."""

    data: str
    schedule: str
    model: str
    n_samples: int


class Comparison(NamedTuple):
    """Accuracies of models that were trained on different sets.

    Attributes
    ----------
    table : DataFrame or list of dict
        A row for each set and model, with the columns

        - ``data``: the set; ``distilled``, the class of a baseline, with a number where several
          of a class differ in more than their draws and their schedule, or ``all data``,
        - ``schedule``: whether the step sizes were ``learned`` or ``fixed``; empty for models of
          scikit-learn, which have none,
        - ``model``: what was trained on it, and ``n_samples``, on how many samples,
        - ``mean``, ``std`` and ``n_scores``: accuracy over so many nets, of all sets of that name,
        - ``low``, ``high``: 95 % confidence interval of the mean (Student's t) over nets or, where
          there are several sets, over these; not a number for one score. It does not know of the
          chance in the test samples,
        - ``hard_label_recovery``: accuracy that the same model loses against all data; rows of
          learned labels have none,
        - ``improvement_over_random``: accuracy that it gains on as many random samples as the
          distilled set has, with the better schedule.
    verdict : str
        Where distillation helped and where it did not, in plain words.
    """

    table: Any
    verdict: str


def compare(
    distiller: DatasetDistiller,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    baselines: Sequence[DatasetDistiller] | None = None,
    students: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    n_inits: int = 20,
    init: Any = None,
    n_full: int = 3,
    full_epochs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Comparison:
    """Compare a distilled set with other sets of its size and with all data.

    Every set meets every model. Nothing is chosen on test data.

    Parameters
    ----------
    distiller : DatasetDistiller
        A fitted distiller.
    X_train : array-like of shape (n_samples, n_features) or (n_samples, ...)
        What it was fitted on.
    y_train : array-like of shape (n_samples,)
        Class labels.
    X_test : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Samples that no fit has seen.
    y_test : array-like of shape (n_samples,)
        Their classes.
    baselines : sequence of estimators or None, default=None
        What to compare with: baselines or other distillers. Those that are not fitted are fitted on
        the training data. ``None`` takes ``all_baselines(distiller)``; with fixed step sizes alone,
        ``all_baselines(distiller, ["fixed"])``, they take a fraction of the time.
    students : dict or None, default=None
        Name -> another student, to be trained on every set beside the distiller's own. Baselines
        choose their step sizes for each.
    models : dict or None, default=None
        Name -> unfitted classifier of scikit-learn, which sees flat, standardised samples. ``None``
        takes a logistic regression, a random forest and the nearest neighbour.
    n_inits : int, default=20
        Students on each set, all from the same held-out initial weights.
    init : None, {"random", "fixed"}, callable or list, default=None
        Another weight prior for the distiller's own student, such as held-out pre-trained nets.
    n_full : int, default=3
        Students that are trained on all data, by ``train_pool``. With 0 there is no such row, also
        for models, and nothing is recovered.
    full_epochs : int or None, default=None
        Times that these go through all data, from random weights where ``init`` is no callable.
        ``None`` takes 10, or as many more as make 1,000 mini-batches of 64.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws; ``None`` takes the distiller's.
    verbose : int, default=0
        With 1 there is a progress bar.

    Returns
    -------
    Comparison
        ``table``, a DataFrame where pandas is there, else a list of dicts; and ``verdict``.

    See Also
    --------
    all_baselines : What it is compared with.

    References
    ----------
    Hard-label recovery and improvement over random are DD-Ranking's, on fractions (Li et al. 2025,
    arXiv:2505.13300): the score of label robustness is their weighted difference.

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
    >>> table[["data", "model", "n_samples", "n_scores"]]
                data model  n_samples  n_scores
    0      distilled   MLP          3        20
    1  RandomSamples   MLP          3        20
    2       all data   MLP        133         3
    """
    check_classes(distiller, "compare")
    check_scalar(n_full, "n_full", Integral, min_val=0)
    if full_epochs is None:
        full_epochs = max(10, math.ceil(_FULL_BATCHES * 64 / len(y_train)))
    check_scalar(full_epochs, "full_epochs", Integral, min_val=1)
    seed = distiller.seed_
    if random_state is not None:
        seed = int(check_random_state(random_state).randint(2**31))
    if baselines is None:
        baselines = all_baselines(distiller, random_state=seed)
    own = distiller.recipe_.network().name
    students = {} if students is None else students
    models = _models(seed) if models is None else models
    _check_sets(baselines)
    _check_names(own, students, models)
    bench = _Bench(
        distiller,
        (X_train, y_train),
        (X_test, y_test),
        students={own: None, **students},
        models=models,
        init=init,
        evaluation={"n_inits": n_inits, "each_step": False, "random_state": seed},
    )
    n_sets = 1 + (distiller.y_syn_.ndim == 2) + len(baselines)
    sets = tqdm(bench.sets(baselines), total=n_sets, disable=not verbose, unit="set")
    scores: dict[Cell, list[Array]] = defaultdict(list)
    for named in sets:
        for cell, found in bench.scores(*named):
            scores[cell].append(found)
    if n_full:
        scores |= {cell: [found] for cell, found in bench.scores_of_all_data(n_full, full_epochs)}
    rows = [_row(cell, found) for cell, found in scores.items()]
    rows = [row | _differences(row, rows) for row in rows]
    return Comparison(_as_frame(rows), _verdict(rows))


def all_baselines(
    distiller: DatasetDistiller,
    schedules: Sequence[str] = ("fixed", "learned"),
    *,
    n_random: int = 3,
    n_sets: int = 20,
    random_state: Any = None,
) -> list[Baseline]:
    """Every baseline at the size of a distilled set, for the same student and number of steps.

    Parameters
    ----------
    distiller : DatasetDistiller
        A fitted distiller, whose parameters the baselines take. Where it knows the net that
        students start from, so do they.
    schedules : sequence of {"fixed", "learned"}, default=("fixed", "learned")
        The step sizes, each with every baseline.
    n_random : int, default=3
        Sets of random samples, which differ much.
    n_sets : int, default=20
        Random sets of which there is the best beside them.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.

    Returns
    -------
    list of Baseline
        Not fitted.

    See Also
    --------
    compare : Fits and scores them.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, all_baselines
    >>> distiller = DatasetDistiller(max_iter=1, random_state=0).fit(*load_wine(return_X_y=True))
    >>> baselines = all_baselines(distiller, ["fixed"], n_random=1)
    >>> [type(baseline).__name__ for baseline in baselines]
    ['RandomSamples', 'RandomSamples', 'ClassMeans', 'KMeansCenters', 'KCenters', 'Herding']
    """
    check_classes(distiller, "all_baselines")
    if isinstance(schedules, str) or not set(schedules) <= {"fixed", "learned"}:
        raise ValueError(
            f'schedules must be a list of "fixed", "learned" or both, got {schedules!r}.'
        )
    check_scalar(n_random, "n_random", Integral, min_val=0)
    own = {"max_iter", "n_inits", "random_state", "verbose"}
    names = set(RandomSamples().get_params(deep=False)) - own
    shared = {k: v for k, v in distiller.get_params(deep=False).items() if k in names}
    if distiller.recipe_.weights is not None:
        shared["init"] = [distiller.recipe_.weights]
    seeds = check_random_state(random_state).randint(2**31, size=n_random + 1).tolist()
    kinds: list[tuple[type[Baseline], dict[str, Any]]] = [
        *((RandomSamples, {"random_state": seed}) for seed in seeds[1:]),
        (RandomSamples, {"n_sets": n_sets}),
        *((kind, {}) for kind in (ClassMeans, KMeansCenters, KCenters, Herding)),
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
        if not isinstance(baseline, DatasetDistiller):
            raise TypeError(
                f"baselines[{i}] must be a baseline or a distiller, got {type(baseline).__name__}. "
                "Give a classifier of scikit-learn in models."
            )


def _check_names(own: str, students: Any, models: Any) -> None:
    """A name is that of one model alone: rows are told apart by it."""
    taken = {own: "the distiller's own"}
    for name, given in {"students": students, "models": models}.items():
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{name} must be a dict, name -> model, got {type(given).__name__}. Name each "
                "model."
            )
        for twice in given.keys() & taken.keys():
            raise ValueError(
                f"{name} has the name {twice!r}, which is {taken[twice]}. Choose another."
            )
        taken |= dict.fromkeys(given, f"of {name}")


def _models(seed: int) -> dict[str, Any]:
    """What a user of scikit-learn would train on a few samples."""
    return {
        "logistic regression": LogisticRegression(max_iter=1000, tol=1e-2),
        "random forest": RandomForestClassifier(random_state=seed),
        "nearest neighbour": KNeighborsClassifier(1),
    }


@dataclass
class _Bench:
    """What is the same for all sets, and which sets there were, by name."""

    distiller: DatasetDistiller
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    students: Mapping[str, Any]  # name -> student; None is the distiller's own
    models: Mapping[str, Any]  # name -> unfitted classifier
    init: Any
    evaluation: Mapping[str, Any]  # arguments of evaluate
    met: dict[str, list[Array]] = field(default_factory=lambda: defaultdict(list))
    kinds: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def sets(self, baselines: Iterable[Any]) -> Iterator[tuple[str, str, DatasetDistiller]]:
        """Name and schedule of each small set, and the fitted estimator that has it."""
        yield _DISTILLED, "learned", self.distiller
        if self.distiller.y_syn_.ndim == 2:
            hard = copy.copy(self.distiller)
            hard.y_syn_ = hard.classes_[hard.y_syn_.argmax(axis=1)]
            yield _HARD, "learned", hard
        for baseline in baselines:
            fitted = baseline
            if not hasattr(baseline, "recipe_"):
                fitted = clone(baseline).fit(*self.train)
            yield self._name(baseline), getattr(baseline, "schedule", "learned"), fitted

    def _name(self, baseline: Any) -> str:
        """The class, with a number where others of it have other parameters."""
        n_sets = getattr(baseline, "n_sets", 1)
        name = type(baseline).__name__ + (f", best of {n_sets}" if n_sets > 1 else "")
        # The same with other draws, or both schedules, are one.
        apart = ("random_state", "schedule", "verbose")
        params = {k: v for k, v in baseline.get_params(deep=False).items() if k not in apart}
        kinds, kind = self.kinds[name], describe(params)
        if kind not in kinds:
            kinds.append(kind)
        number = kinds.index(kind) + 1
        return name if number == 1 else f"{name} ({number})"

    def scores(
        self, name: str, schedule: str, fitted: DatasetDistiller
    ) -> Iterator[tuple[Cell, Array]]:
        """What every model has after training on one small set."""
        X, y, _ = fitted.transform()
        X_test, y_test = self.test
        for model, student in self.students.items():
            host, options = fitted, {"student": student, "init": self.init}
            if student is not None:
                # Another student has no known nets, not even where they would fit.
                options["init"] = fitted.init if callable(fitted.init) else "random"
            if student is not None and isinstance(fitted, Baseline):
                # It chooses its step size for each student: rather too strong than too weak.
                host, options = clone(fitted).set_params(**options).fit(*self.train), {}
            result = host.evaluate(X_test, y_test, **options, **self.evaluation)
            yield Cell(name, schedule, model, len(y)), result.scores
        # Models need hard labels, and know no schedule in which the same samples differ.
        same = (np.array_equal(X, other) for other in self.met[name])
        if y.ndim == 1 and not any(same):
            self.met[name].append(X)
            yield from self._scores_of_models(name, X, y)

    def scores_of_all_data(self, n_nets: int, n_epochs: int) -> Iterator[tuple[Cell, Array]]:
        """What every model has after training on all data."""
        of = self.distiller
        for model, student in self.students.items():
            nets = train_pool(
                of.student if student is None else student, *self.train, n_nets,
                init=of.init if callable(of.init) else "random", n_epochs=n_epochs,
                sample_shape=of.sample_shape, standardize=of.standardize, device=of.device,
                random_state=self.evaluation["random_state"],
            )  # fmt: skip
            cell = Cell(_ALL, "fixed", model, len(self.train[1]))
            yield cell, self._scores_of_nets(nets, student)
        X, y = self.train
        yield from self._scores_of_models(_ALL, new_samples(of, X), y)

    def _scores_of_nets(self, nets: list[Any], student: Any) -> Array:
        """Accuracy of trained nets."""
        recipe, device = self.distiller.recipe_, resolve_device(self.distiller.device)
        X = new_samples(self.distiller, self.test[0])
        y = class_indices(self.test[1], recipe.classes, len(X))
        real = RealData(X, y, np.arange(len(X)), recipe.standardize, _BATCH, device)
        pupil = learner(recipe.network(student), device)
        on_device = ({name: p.to(device) for name, p in net.items()} for net in nets)
        return np.array([float(accuracies(pupil, net, real)) for net in on_device])

    def _scores_of_models(self, name: str, X: Any, y: Any) -> Iterator[tuple[Cell, Array]]:
        if self.models:
            y_test = np.asarray(self.test[1])
            X, X_test = self._flat(X), self._flat(new_samples(self.distiller, self.test[0]))
        for model, classifier in self.models.items():
            score = clone(classifier).fit(X, np.asarray(y)).score(X_test, y_test)
            yield Cell(name, "", model, len(y)), np.array([score])

    def _flat(self, X: Any) -> Array:
        """Standardised samples, flat."""
        X = np.asarray(X).reshape(len(X), -1)
        chunks = self.distiller.recipe_.standardize.chunks(X)
        return np.concatenate([z.flatten(1).numpy() for z in chunks])


def _row(cell: Cell, of_sets: list[Array]) -> dict[str, Any]:
    """One row, of everything that its own scores tell."""
    scores = np.concatenate(of_sets)
    # Nets on one set are not independent of each other where sets differ.
    units = np.array([of_set.mean() for of_set in of_sets]) if len(of_sets) > 1 else scores
    n, mean, half = len(units), float(scores.mean()), math.nan
    if n > 1:
        quantile = student_t.ppf((1 + _CONFIDENCE) / 2, n - 1)
        half = float(quantile * units.std(ddof=1) / math.sqrt(n))
    return cell._asdict() | {
        "mean": mean, "std": float(scores.std()), "low": mean - half, "high": mean + half,
        "n_scores": len(scores),
    }  # fmt: skip


def _differences(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    """What a row loses against all data and gains on random samples, with the same model."""
    alike = [other for other in rows if other["model"] == row["model"]]
    full = _best(other for other in alike if other["data"] == _ALL)
    size = rows[0]["n_samples"]  # of the distilled set, which comes first
    random = _best(
        other for other in alike
        if other["data"].split(" (")[0] == RandomSamples.__name__ and other["n_samples"] == size
    )  # fmt: skip
    soft = row["data"] == _DISTILLED and any(other["data"] == _HARD for other in alike)
    return {
        "hard_label_recovery": math.nan if soft else full["mean"] - row["mean"],
        "improvement_over_random": row["mean"] - random["mean"],
    }


def _best(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The row of the highest mean."""
    return max(rows, key=lambda row: row["mean"], default={"mean": math.nan})


def _as_frame(rows: list[dict[str, Any]]) -> Any:
    try:
        return importlib.import_module("pandas").DataFrame(rows)
    except ImportError:
        return rows


def _verdict(rows: list[dict[str, Any]]) -> str:
    """Where the distilled set is better than all other small ones, and where it is not."""
    others = [row for row in rows if row["data"] not in (_DISTILLED, _HARD, _ALL)]
    if not others:
        return "There is no other small set to compare with."
    # With each model once: with learned labels where it takes them.
    ours = {row["model"]: row for row in rows if row["data"] == _DISTILLED}
    ours |= {row["model"]: row for row in rows if row["data"] == _HARD and row["model"] not in ours}
    own, rival = _best(ours.values()), _best(others)
    sentences = [
        f"Distillation {_outcome(own, rival)}: {own['model']} on the distilled set has "
        f"{own['mean']:.3f}; the best on another set, {rival['model']} on {rival['data']} "
        f"({rival['n_samples']} samples), {rival['mean']:.3f}."
    ]
    for model, own in ours.items():
        rival = _best(row for row in others if row["model"] == model)
        outcome = _outcome(own, rival)
        if outcome != _HELPED:
            sentences.append(
                f"With {model} it {outcome}: {own['mean']:.3f} on the distilled set, "
                f"{rival['mean']:.3f} on {rival['data']}."
            )
    return " ".join(sentences)


def _outcome(own: dict[str, Any], rival: dict[str, Any]) -> str:
    """Whether a mean is above another one, of several nets by more than chance makes likely."""
    if own["mean"] <= rival["mean"]:
        return "did not help"
    return "is not shown to help" if own["low"] <= rival["mean"] else _HELPED
