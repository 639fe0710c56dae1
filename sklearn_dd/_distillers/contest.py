"""The choice among the sets of a fit, by the models that will learn from them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from .._data import Array, Continuous
from .._engine import DistilledSet, ModelFn, Stream, distinct, draw, each_student
from .._evaluation import SCORES, Training
from .._student import ModelSpec, SeveralSpec, StudentSpec, fit_model, is_random, quicker
from .look import evenly
from .problem import Problem

_N_FITS = 1  # of each student
_MAX_ROWS = 1500  # real samples that they are scored on
_SHARE = 1 / 4  # of the time so far
_OF_BUDGET = 1 / 10  # that the starts may take
_LEAST = 0.02  # an error below it counts as this one


def contest_of(
    problem: Problem, distilled: DistilledSet, starts: Sequence[DistilledSet]
) -> Contest | None:
    """The contest of a fit; None for a net alone, and for an objective of the user's own."""
    is_net = isinstance(problem.spec, StudentSpec)
    return None if is_net or problem.objective else Contest(problem, distilled, starts)


class Contest:
    """Keep the set from which the students themselves learn most, where some are models.

    A counterpart changes smoothly with the samples, but what a tree learns from them jumps. So the
    models choose among the sets that the fit passes through, the starts included. They are scored
    on all real samples: so few sets are compared that they cannot fit these samples too well.

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
        Of students that learn from it.
    references : ndarray of shape (n_students,)
        The least error of each student on a start.
    best_iter : int
        The number of iterations that led to it.
    """

    def __init__(
        self, problem: Problem, distilled: DistilledSet, starts: Sequence[DistilledSet]
    ) -> None:
        self.problem, self.distilled, self.starts = problem, distilled, starts
        self.real = evenly(problem, problem.everything.rows, _MAX_ROWS)
        self.best = self.distilled.snapshot()
        self.references = self.errors = np.ones(0)
        self.best_iter, self.spent = 0, 0.0

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
        best = min(range(len(errors)), key=lambda k: self._value(errors[k]))
        self.best, self.errors = snapshots[best], errors[best]

    def _may_go_on(self, n: int) -> bool:
        """Whether there is time for another start after ``n``."""
        limit = self.problem.parameters.max_time
        return limit is None or self.spent * (n + 1) / n < _OF_BUDGET * limit

    def consider(self, done: int, seconds: float) -> None:
        """Score the set as it is, unless too much of the time so far was spent on that."""
        if self.problem.parameters.max_time is not None and self.spent > _SHARE * seconds:
            return
        errors = self._errors()
        if self._value(errors) < self._value(self.errors):
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
        problem, spec = self.problem, self.problem.spec
        specs = spec.members if isinstance(spec, SeveralSpec) else [spec]
        prior = problem.held_out_prior
        params = draw(prior, distinct(prior, _N_FITS), problem.seed, Stream.HELD_OUT)
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
        return 1 - np.array(scores)

    def _score_of_model(
        self, spec: ModelSpec, params: Mapping[str, Tensor], x: Tensor, y: Tensor
    ) -> float:
        """The mean score of fits of a model, by its own ``score``."""
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
        seeds = params["seed"].tolist()[: None if is_random(model) else 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fits = [fit_model(model, units, targets, X_syn, y_syn, seed) for seed in seeds]
        return float(np.mean([fit.score(X, y_real) for fit in fits]))

    def state_dict(self) -> dict[str, Tensor]:
        """The best set so far, and the errors that it is compared by."""
        arrays = {"errors": self.errors, "references": self.references}
        return {
            **{f"best.{k}": part for k, part in enumerate(self.best)},
            **{name: torch.from_numpy(values) for name, values in arrays.items()},
            "best_iter": torch.tensor(self.best_iter),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from there."""
        device = self.best[0].device
        self.best = [state[f"best.{k}"].to(device) for k in range(len(self.best))]
        self.errors, self.references = state["errors"].numpy(), state["references"].numpy()
        self.best_iter = int(state["best_iter"])
