"""How well students do that were trained on the distilled set as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .._data import Array, RealData, Targets, stratified_rows
from .._engine import (
    DistilledSet,
    ModelFn,
    Objective,
    Several,
    Stream,
    TargetKind,
    distinct,
    draw,
    each_student,
    fold,
    generator,
    has_models,
    scaled,
)
from .._evaluation import Training
from .plan import operations
from .problem import Problem

_N_STUDENTS = 4  # that learn from the set at each look; half as many where some are models
_BATCH = 512  # samples that are scored at a time
_PARTS = 16  # of the samples; the spread over them gives a standard error
_FEWEST = 8  # distinct samples that are evidence
_OF_MODEL = 1e9  # operations that a model counts as: most cannot be counted
_ALIVE = 1e-6  # the least spread of a student's outputs


class Look(NamedTuple):
    """How well students do on real samples."""

    losses: Tensor  # (n_parts,), the mean objective of all students on each part of the samples
    score: float  # accuracy, R², or minus the mean objective
    dead_share: float  # of students that learned nothing: their outputs are constant or not finite
    each: Sequence[float] = ()  # the mean loss of each of several students, times its weight


def examine(
    training: Training, real: RealData, targets: Targets, objective: Objective | None
) -> Look:
    """Train students, and score them on ``real``, whose samples count alike."""
    goal, y = objective or targets.objective, real.y[real.rows]
    differ = len(np.unique(real.rows)) > 1
    # The share of samples with all labels right would be flat for long.
    has_score = objective is None and targets.kind is not TargetKind.MULTILABEL
    losses: dict[int, list[Tensor]] = defaultdict(list)  # of each of several students
    scores, dead = [], []
    for student, found in training.each_output(real):
        if isinstance(student, ModelFn) and y.ndim == 1:
            found = scaled(goal, found, y)  # a model counts by what it predicts
        parts = losses_of_parts(goal, found, y)
        losses[id(student)].append(parts)
        scores.append(_score(found, y, targets.kind) if has_score else -float(parts.mean()))
        if not isinstance(student, ModelFn):  # a model may say that nothing can be said
            dead.append(differ and not (found.std(0) > _ALIVE).any())  # NaN is not greater
    of_each = [torch.stack(found).mean(0) for found in losses.values()]
    several = training.student
    if isinstance(several, Several):
        of_each = several.weighted(of_each)
    shown = [float(found.mean()) for found in of_each]
    return Look(torch.stack(of_each).mean(0), fmean(scores), fmean(dead or [0]), shown)


def losses_of_parts(goal: Objective, outputs: Tensor, y: Tensor) -> Tensor:
    """The objective on each part of the samples (n_parts,)."""
    parts = [slice(k, None, _PARTS) for k in range(min(_PARTS, len(y)))]
    return torch.stack([goal(outputs[part], y[part]) for part in parts]).double()


def _score(outputs: Tensor, y: Tensor, kind: TargetKind) -> float:
    """Accuracy, or R² for numbers."""
    if kind is TargetKind.CONTINUOUS:
        total = (y - y.mean()).square().sum()
        return float(1 - (outputs - y).square().sum() / (total if total > 0 else 1))
    # A diverged student is right about nothing, although the argmax of NaN is class 0.
    return float(((outputs.argmax(-1) == y) & outputs.isfinite().all(-1)).double().mean())


def looker(
    problem: Problem,
    distilled: DistilledSet,
    rows: Array,
    n_students: int | None = None,
    most: int | None = None,
) -> Callable[[], Look] | None:
    """What scores ``distilled`` on real samples with held-out students.

    None where the samples are too few to say anything.
    """
    if not len(rows):
        return None
    prior = problem.held_out_prior
    if n_students is None:
        n_students = _N_STUDENTS // 2 if has_models(problem.student) else _N_STUDENTS
    indices = distinct(prior, n_students)
    params = draw(prior, indices, problem.seed, Stream.HELD_OUT, device=problem.device)
    real = evenly(problem, rows, most)
    if len(np.unique(real.rows)) < _FEWEST:
        return None

    def look() -> Look:
        training = Training(problem.student, params, distilled.x, distilled.y, distilled.lrs)
        return examine(training, real, problem.real.targets, problem.objective)

    return look


def evenly(problem: Problem, rows: Array, most: int | None = None) -> RealData:
    """Samples that count alike: ``most`` of ``rows`` at random, or drawn by their weights."""
    real, weights = problem.real, problem.real.weights
    rng = np.random.default_rng(fold(problem.seed, Stream.HELD_OUT))
    n = min(most or len(rows), len(rows))
    if weights is not None:
        rows = rows[stratified_rows(weights[rows], n, rng.random(n))]
    elif n < len(rows):
        rows = rng.permutation(rows)[:n]
    return RealData(real.X, real.y, rows, problem.recipe.units, _BATCH, problem.device)


def affordable(problem: Problem, distilled: DistilledSet, share: float, max_rows: int) -> int:
    """How many students a share of the budget can train on a distilled set.

    Each is scored on at most ``max_rows`` samples. Operations are counted, because a plan must not
    depend on the clock.
    """
    weights = problem.training_prior(generator(problem.seed))
    params = {name: w.to(problem.device) for name, w in weights.items()}
    x = distilled.x.detach()
    n_trained = 3 * distilled.lrs.numel() * x.shape[1]  # a step takes three passes
    n_scored, each = min(max_rows, len(problem.training.rows)), 0.0
    new = x[0, :1].expand(2, *x.shape[2:])  # normalisation over a batch needs two samples
    for student, own in each_student(problem.student, params):
        if isinstance(student, ModelFn):
            each += _OF_MODEL
            continue
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            student.apply(own, new)
        each += counter.get_total_flops() / 2 * (n_trained + n_scored)
    return int(share * operations(problem.parameters.plan) / max(1, each))
