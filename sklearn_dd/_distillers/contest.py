"""The choice among the sets of a fit, by the models that will learn from them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .._data import Array, Continuous
from .._engine import DistilledSet, ModelFn, Stream, distinct, draw, each_student, has_models
from .._evaluation import SCORES, Training
from .._student import ModelSpec, SeveralSpec, StudentSpec, fit_model, quicker
from .look import evenly
from .problem import Problem

_MAX_ROWS = 1500  # real samples that they are scored on
_SHARE = 1 / 4  # of the time so far
_OF_BUDGET = 1 / 10  # that the starts may take
_LEAST = 0.02  # a reference below it counts as this one


def contest_of(
    problem: Problem, distilled: DistilledSet, starts: Sequence[DistilledSet]
) -> Contest | None:
    """The contest of a fit; None for nets alone, and for an objective of the user's own."""
    if not has_models(problem.student) or problem.objective is not None:
        return None
    return Contest(problem, distilled, starts)


def _specs(problem: Problem) -> Sequence[StudentSpec | ModelSpec]:
    spec = problem.spec
    return spec.members if isinstance(spec, SeveralSpec) else [spec]


class Contest:
    """Keep the set from which the students themselves learn most, where one is a model.

    A counterpart changes smoothly with the samples, but what a tree learns from them jumps. So the
    models choose among the sets that the fit passes through, the starts included. They are scored
    on up to 1,500 real samples: so few sets are compared that they hardly fit these too well.

    An error is 1 minus accuracy or R². Each student's error counts as a share of its error on the
    start that teaches it best, so that no student has to pay for another.

    Parameters
    ----------
    problem : Problem
        What is distilled.
    distilled : DistilledSet
        The set that the outer loop improves in place.
    starts : sequence of DistilledSet
        What to choose from at first, the likeliest first.

    Attributes
    ----------
    best : list of Tensor
        The best set so far.
    errors : ndarray of shape (n_students,)
        Of students that learn from the best set.
    references : ndarray of shape (n_students,)
        The least error of each student on a start.
    best_iter : int
        The number of iterations that led to the best set.
    next : int
        The number of iterations after which the set is scored again.
    """

    def __init__(
        self, problem: Problem, distilled: DistilledSet, starts: Sequence[DistilledSet]
    ) -> None:
        self.problem, self.distilled, self.starts = problem, distilled, starts
        self.real = evenly(problem, problem.everything.rows, _MAX_ROWS)
        self.best = self.distilled.snapshot()
        self.references = self.errors = np.ones(0)
        self.best_iter, self.next, self.spent = 0, 0, 0.0

    def begin(self) -> None:
        """Score all starts, the best of which is the set to beat."""
        now = self.distilled.snapshot()
        snapshots: list[list[Tensor]] = []
        errors: list[Array] = []
        for start in self.starts:
            if errors and not self._may_go_on(len(errors)):
                break
            snapshots.append(start.snapshot())
            self.distilled.restore(snapshots[-1])
            errors.append(self._errors())
        self.distilled.restore(now)
        self.references = np.min(errors, axis=0)
        self.references[~np.isfinite(self.references)] = 1.0
        best = min(range(len(errors)), key=lambda k: self._value(errors[k]))
        self.best, self.errors = snapshots[best], errors[best]

    def _may_go_on(self, n: int) -> bool:
        """Whether there is time for another start after ``n``."""
        limit = self.problem.parameters.max_time
        if limit is None:
            return True
        return self._agreed(self.spent * (n + 1) / n < _OF_BUDGET * limit)

    def _agreed(self, decision: bool) -> bool:
        """The decision of the main process, whose clock counts for all."""
        return bool(self.problem.reducer.from_main(int(decision)))

    def consider(self, done: int, seconds: float) -> None:
        """Score the set as it is, unless too much of the time so far was spent on that."""
        is_limited = self.problem.parameters.max_time is not None
        if is_limited and self._agreed(self.spent > _SHARE * seconds):
            return
        errors = self._errors()
        value = self._value(errors)
        if value < math.inf and value <= self._value(self.errors):  # the later of equal ones
            self.best, self.errors, self.best_iter = self.distilled.snapshot(), errors, done

    @property
    def gains(self) -> Array:
        """By how much the score of each student rises over the start that teaches it best."""
        return self.references - self.errors

    def _value(self, errors: Array) -> float:
        value = float(np.mean(errors / self.references.clip(min=_LEAST)))
        return value if math.isfinite(value) else math.inf

    def _errors(self) -> Array:
        """The mean error of each student after learning from the set as it is."""
        began = time.monotonic()
        problem, specs = self.problem, _specs(self.problem)
        prior = problem.held_out_prior
        params = draw(prior, distinct(prior, 1), problem.seed, Stream.HELD_OUT)
        scores = []
        x, y, lrs = (t.detach() for t in (self.distilled.x, self.distilled.y, self.distilled.lrs))
        for member, (student, own) in zip(
            specs, each_student(problem.student, params), strict=True
        ):
            if isinstance(member, ModelSpec):
                assert isinstance(student, ModelFn)
                scores.append(self._score_of_model(member, own, x, y))
            else:
                on_device = {name: p.to(problem.device) for name, p in own.items()}
                score = SCORES[problem.real.targets.kind]
                found = Training(student, on_device, x, y, lrs).scores(self.real, score)
                scores.append(float(found.mean()))
        self.spent += time.monotonic() - began
        return 1 - np.nan_to_num(np.array(scores), nan=-math.inf, neginf=-math.inf)

    def _score_of_model(
        self, spec: ModelSpec, params: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> float:
        """The score of a model, by its own ``score``; -inf if it cannot learn."""
        recipe, rows = self.problem.recipe, self.real.rows
        targets, units = recipe.targets, recipe.units
        x, y = (t.cpu().flatten(0, 1) for t in (x, y))
        X_syn = units.inverse(x).numpy()
        y_syn = targets.decode(y, self.distilled.learns_labels)
        X, y_real = self.problem.real.X[rows], self.problem.real.y[rows]
        if isinstance(targets, Continuous):
            y_real = targets.decode(torch.as_tensor(y_real))
        else:
            y_real = targets.values[y_real]
        model = quicker(spec.model, targets.n_outputs)
        seed = int(params["seed"][0])
        try:  # a model that has learned from a start may fail on a set that went astray
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = fit_model(model, units, targets, X_syn, y_syn, seed)
                return float(fitted.score(X, y_real))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return -math.inf

    def state_dict(self) -> dict[str, Tensor]:
        """The best set so far, and the errors that it is compared by."""
        arrays = {"errors": self.errors, "references": self.references}
        return {
            **{f"best.{k}": part for k, part in enumerate(self.best)},
            **{name: torch.from_numpy(values) for name, values in arrays.items()},
            "counts": torch.tensor([self.best_iter, self.next, self.spent], dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from there."""
        device = self.best[0].device
        self.best = [state[f"best.{k}"].to(device) for k in range(len(self.best))]
        self.errors, self.references = state["errors"].numpy(), state["references"].numpy()
        *numbers, self.spent = state["counts"].tolist()
        self.best_iter, self.next = map(int, numbers)
