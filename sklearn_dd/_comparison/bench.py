"""Train every model of a comparison on every set, and score it."""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring

from .._baselines import Baseline, RandomSamples
from .._data import Array, class_indices, new_samples
from .._distilled import describe
from .._evaluation import scorer
from .._pools import train_pool
from .._scores import Score, accuracies
from .._student import seeded
from .table import Cell, Kind, Scored, Spent


@dataclass(frozen=True)
class SmallSet:
    """A small set and the fitted estimator that holds it."""

    kind: Kind
    label: str
    schedule: str
    fitted: Any


@dataclass
class Bench:
    """What is shared by all sets of a comparison, and a record of the sets so far.

    Parameters
    ----------
    distiller : DatasetDistiller
        The fitted distiller.
    train, test : tuple
        X and y to train on and to score on.
    students : dict
        Name -> student. None stands for the distiller's own student.
    models : dict
        Name -> unfitted scikit-learn classifier.
    init : object
        The weight prior of the distiller's own student.
    evaluation : dict
        Arguments of ``evaluate``.
    """

    distiller: Any
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    students: Mapping[str, Any]
    models: Mapping[str, Any]
    init: Any
    evaluation: Mapping[str, Any]
    seen: dict[str, list[Array]] = field(default_factory=lambda: defaultdict(list))
    described: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def sets(self, baselines: Iterable[Any]) -> Iterator[SmallSet]:
        """Yield each small set."""
        yield SmallSet(Kind.DISTILLED, "distilled", "learned", self.distiller)
        if self.distiller.y_syn_.ndim == 2:
            hard = copy.copy(self.distiller)
            hard.y_syn_ = hard.classes_[hard.y_syn_.argmax(axis=1)]
            yield SmallSet(Kind.HARD_LABELS, "distilled, hard labels", "learned", hard)
        for baseline in baselines:
            fitted = baseline
            if not hasattr(baseline, "recipe_"):
                fitted = clone(baseline).fit(*self.train)
            is_random = isinstance(baseline, RandomSamples) and baseline.n_sets == 1
            kind = Kind.RANDOM if is_random else Kind.OTHER
            schedule = getattr(baseline, "schedule", "learned")
            yield SmallSet(kind, self._label(baseline), schedule, fitted)

    def _label(self, baseline: Any) -> str:
        """The name of the class, with a number if other parameters came before it."""
        n_sets = getattr(baseline, "n_sets", 1)
        name = type(baseline).__name__ + (f", best of {n_sets}" if n_sets > 1 else "")
        # Baselines that differ only in these parameters have the same label.
        ignored = ("random_state", "schedule", "verbose")
        params = {k: v for k, v in baseline.get_params(deep=False).items() if k not in ignored}
        known, description = self.described[name], describe(params)
        if description not in known:
            known.append(description)
        number = known.index(description) + 1
        return name if number == 1 else f"{name} ({number})"

    def scores(self, small: SmallSet) -> Iterator[Scored]:
        """Yield the scores of every model after training on one small set."""
        fitted = small.fitted
        X, y, lrs = fitted.transform()
        X = fitted.recipe_.numbers(X)
        n_bytes = X.nbytes + y.nbytes + lrs.nbytes
        for model, student in self.students.items():
            host, options = fitted, {"student": student, "init": self.init}
            if student is not None:
                # Another student does not start from known nets, even if they would fit.
                options["init"] = fitted.init if callable(fitted.init) else "random"
            if student is not None and isinstance(fitted, Baseline):
                # Refitted for each student, so that no other student's step size handicaps it.
                host, options = clone(fitted).set_params(**options).fit(*self.train), {}
            began = time.perf_counter()
            found = host.evaluate(*self.test, **options, **self.evaluation).scores
            seconds = (time.perf_counter() - began) / len(found)
            cell = Cell(small.kind, small.label, small.schedule, model, len(y))
            yield Scored(cell, found, Spent(n_bytes, getattr(host, "fit_time_", math.nan), seconds))
        # Models need hard labels. They have no schedule, so the same samples are used only once.
        same = (np.array_equal(X, other) for other in self.seen[small.label])
        if y.ndim == 1 and not any(same):
            self.seen[small.label].append(X)
            spent = Spent(X.nbytes + y.nbytes, getattr(fitted, "fit_time_", math.nan), math.nan)
            yield from self._scores_of_models(small.kind, small.label, X, y, spent)

    def scores_of_all_data(self, n_nets: int, n_epochs: int) -> Iterator[Scored]:
        """Yield the scores of every model after training on all the data."""
        of, (X, y) = self.distiller, self.train
        numbers = of.recipe_.numbers(X) if of.recipe_.table else X
        n_bytes = np.asarray(numbers).nbytes + np.asarray(y).nbytes
        spent = Spent(n_bytes, 0.0, math.nan)
        for model, student in self.students.items():
            began = time.perf_counter()
            nets = train_pool(
                numbers, y, n_nets,
                student=of.recipe_.student if student is None else student,
                init=of.init if callable(of.init) else "random", n_epochs=n_epochs,
                sample_shape=of.sample_shape, standardize=of.standardize, device=of.device,
                random_state=self.evaluation["random_state"],
            )  # fmt: skip
            found = self._scores_of_nets(nets, student)
            seconds = (time.perf_counter() - began) / n_nets
            cell = Cell(Kind.ALL_DATA, "all data", "fixed", model, len(y))
            yield Scored(cell, found, spent._replace(train_time=seconds))
        X = new_samples(of, X)
        yield from self._scores_of_models(Kind.ALL_DATA, "all data", X, y, spent)

    def _scores_of_nets(self, nets: list[Any], student: Any) -> Array:
        """The score of trained nets."""
        recipe, data = self.distiller.recipe_, self.distiller.transform()
        X = new_samples(self.distiller, self.test[0])
        y = class_indices(self.test[1], recipe.classes, len(X))
        real = data.real_data(X, y, self.distiller.device)
        scoring = self.evaluation["scoring"]
        score: Score = accuracies
        if scoring is not None:
            score = scorer(scoring, recipe.targets, self.test[1])
        trained = recipe.student_fn(recipe.spec(student), real.device)
        on_device = ({name: p.to(real.device) for name, p in net.items()} for net in nets)
        return np.array([float(score(trained, net, real)) for net in on_device])

    def _scores_of_models(
        self, kind: Kind, label: str, X: Any, y: Any, spent: Spent
    ) -> Iterator[Scored]:
        if self.models:
            y_test = np.asarray(self.test[1])
            X, X_test = self._flat(X), self._flat(new_samples(self.distiller, self.test[0]))
        for model, classifier in self.models.items():
            began = time.perf_counter()
            fitted = seeded(classifier, self.evaluation["random_state"]).fit(X, np.asarray(y))
            score = check_scoring(fitted, self.evaluation["scoring"])(fitted, X_test, y_test)
            seconds = time.perf_counter() - began
            cell = Cell(kind, label, "", model, len(y))
            yield Scored(cell, np.array([score]), spent._replace(train_time=seconds))

    def _flat(self, X: Any) -> Array:
        """Standardised samples, flat."""
        X = np.asarray(X).reshape(len(X), -1)
        chunks = self.distiller.recipe_.units.chunks(X)
        return np.concatenate([z.flatten(1).numpy() for z in chunks])
