"""How well students do that were trained on distilled data alone."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring
from torch import Tensor

from ._data import Array, Continuous, RealData, Targets, dense
from ._engine import (
    AnyStudent,
    ModelFn,
    Params,
    StudentFn,
    TargetKind,
    each_student,
    inner_steps,
    train_students,
    unroll,
)
from ._guards import warn_user
from ._scores import Score, accuracies, r2_scores, subset_accuracies

SCORES: dict[TargetKind, Score] = {
    TargetKind.MULTICLASS: accuracies,
    TargetKind.MULTILABEL: subset_accuracies,
    TargetKind.CONTINUOUS: r2_scores,
}
"""The score of each kind of y where the user names no other."""


class Evaluation(NamedTuple):
    """Scores of students over several initialisations.

    Attributes
    ----------
    mean, std : float
        Mean and standard deviation of ``scores``.
    scores : ndarray of shape (n_inits,)
        Score of each student after the whole schedule: accuracy, R² for regression, or the score
        that ``scoring`` names. Of several students, (n_students, n_inits).
    step_scores : ndarray of shape (n_steps * n_epochs + 1, n_inits) or (1, n_inits)
        Scores before the first gradient step and after each step, with ``each_step=True``.
        Otherwise one row, the scores after the last step.

    See Also
    --------
    DistilledData.evaluate : Returns these scores.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(max_iter=50, random_state=0).fit(X, y)
    >>> evaluation = distiller.evaluate(X, y, n_inits=5)
    >>> evaluation.mean > 0.9, evaluation.scores.shape, evaluation.step_scores.shape
    (True, (5,), (1, 5))
    """

    mean: float
    std: float
    scores: Array
    step_scores: Array


@dataclass(frozen=True)
class Training:
    """Students and the schedule that trains them.

    Parameters
    ----------
    student : StudentFn, ModelFn or Several
        The student, or the students.
    params : dict of Tensor
        Where they start, stacked.
    x, y, lrs : Tensor
        The distilled samples, their labels and the step sizes, by step.
    """

    student: AnyStudent
    params: Params
    x: Tensor
    y: Tensor
    lrs: Tensor

    def trained(self) -> Iterator[tuple[StudentFn | ModelFn, Params]]:
        """Yield each group of students, and their parameters after the last step."""
        for student, params in each_student(self.student, self.params):
            for group in student.groups(params):
                if isinstance(student, StudentFn):
                    yield student, train_students(student, group, self.x, self.y, self.lrs)
                else:
                    yield student, student.learn(group, self.x.detach(), self.y.detach())

    def scores(self, real: RealData, score: Score) -> Tensor:
        """The score of each student after the last step (n_inits,)."""
        return torch.cat([score(student, params, real) for student, params in self.trained()])

    def step_scores(self, real: RealData, score: Score) -> Tensor:
        """Scores before the first step and after each step (T + 1, n_inits)."""
        steps, student = inner_steps(self.x, self.y, self.lrs), self.student
        assert isinstance(student, StudentFn)
        by_group = [
            torch.stack(
                [
                    score(student, carry[0], real)
                    for carry in unroll(student, student.optimizer.start(group), steps)
                ]
            )
            for group in student.groups(self.params)
        ]
        return torch.cat(by_group, dim=1)

    def outputs(self, real: RealData) -> Tensor:
        """Outputs of the trained students (n_inits, n, n_outputs)."""
        return torch.stack([found for _, found in self.each_output(real)])

    def each_output(self, real: RealData) -> Iterator[tuple[StudentFn | ModelFn, Tensor]]:
        """Yield each trained student, and its outputs (n, n_outputs)."""
        for student, params in self.trained():
            for found in outputs(student, params, real):
                yield student, found


def outputs(student: StudentFn | ModelFn, params: Params, real: RealData) -> Tensor:
    """Outputs (n_inits, n, n_outputs) on the CPU of one student or of several, stacked."""
    batches: Iterable[Tensor] = (x for x, _ in real.in_order())
    if isinstance(student, ModelFn):  # learns whenever it is asked
        batches = [torch.cat([*batches])]
    with torch.no_grad():
        parts = [student.apply(params, x).cpu() for x in batches]
    found = torch.cat(parts, dim=-2)
    return found if found.ndim == 3 else found[None]


def scorer(scoring: Any, targets: Targets, y: Any, sample_weight: Any = None) -> Score:
    """A scikit-learn scorer, by name or as ``(estimator, X, y) -> float``, as a score of students.

    Parameters
    ----------
    scoring : str or callable
        What scikit-learn's ``cross_validate`` takes as one metric.
    targets : Multiclass, Multilabel or Continuous
        What y holds.
    y : array-like
        The true y as the user holds it, already checked.
    sample_weight : array-like or None, default=None
        Weights for a scorer that takes them.

    Returns
    -------
    callable
        Its score is NaN, with a warning, for a student that has diverged.
    """
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            f"scoring must be the name of a scorer or a callable, got {scoring!r}. For several "
            "metrics, evaluate once with each."
        )
    kind = _Regressor if isinstance(targets, Continuous) else _Classifier
    # Checks the name, or that it is callable.
    measure = check_scoring(kind(targets, None, None), scoring=scoring)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    if weights:
        _check_takes_weights(measure, scoring)
    y = np.asarray(dense(y))
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]

    def score_one(found: Tensor, X: Array) -> float:
        if found.isfinite().all():
            return float(measure(kind(targets, found, X), X, y, **weights))
        warn_user("A student has diverged: its outputs are not finite, and its score is NaN.")
        return math.nan

    def score(student: StudentFn, params: Params, real: RealData) -> Tensor:
        found = outputs(student, params, real)
        return torch.tensor([score_one(each, real.X) for each in found], dtype=torch.float64)

    return score


def _check_takes_weights(measure: Any, scoring: Any) -> None:
    """Refuse a scorer that would fail on weights, before students are trained."""
    try:  # scorers take anything, and pass it to a metric
        known = inspect.signature(getattr(measure, "_score_func", measure)).parameters
    except (TypeError, ValueError):  # a metric that is not written in Python does not tell
        return
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    if "sample_weight" not in known and not takes_any:
        raise TypeError(
            f"scoring={scoring!r} must take sample_weight, because evaluate was passed weights, "
            "but it does not. Choose another scorer, or leave sample_weight=None."
        )


def evaluate(training: Training, real: RealData, score: Score, each_step: bool) -> Evaluation:
    """Train students; score them at the end, or also before the first step and after each."""
    if each_step:
        scores = training.step_scores(real, score).numpy()
    else:
        scores = training.scores(real, score)[None].numpy()
    return Evaluation(float(scores[-1].mean()), float(scores[-1].std()), scores[-1], scores)


class _Predicted(BaseEstimator):
    """A student's outputs on known samples, as an estimator for scikit-learn's scorers."""

    def __init__(self, targets: Targets, found: Tensor | None, X: Any) -> None:
        self.targets, self.found, self.X = targets, found, X

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> _Predicted:
        """Scorers ask that there is such a method."""
        raise NotImplementedError

    def predict(self, X: Any) -> Array:
        """What the student predicts for the samples that are evaluated."""
        return self.targets.predictions(self.outputs(X))

    def outputs(self, X: Any) -> Tensor:
        """The student's outputs for the samples that are evaluated, and no others."""
        if X is not self.X or self.found is None:
            raise ValueError(
                "scoring must score the samples that it is passed as they are, because students "
                "predict for these alone. To score a part of them, pass this part to evaluate."
            )
        return self.found


class _Classifier(ClassifierMixin, _Predicted):
    @property
    def classes_(self) -> Array:
        """Class labels."""
        assert not isinstance(self.targets, Continuous)
        return self.targets.values

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities for the samples that are evaluated."""
        assert not isinstance(self.targets, Continuous)
        return self.targets.probabilities(self.outputs(X)).numpy()


class _Regressor(RegressorMixin, _Predicted):
    pass
