"""How well students do that were trained on the distilled set as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .._data import RealData, Targets
from .._engine import (
    DistilledSet,
    Objective,
    Stream,
    TargetKind,
    distinct,
    draw,
    inner_steps,
    mean_over_students,
)
from .._evaluation import SCORES, Training
from .problem import Problem

_N_STUDENTS = 8
_PARTS = 16  # of the samples; the spread over them gives a standard error


class Look(NamedTuple):
    """How well students do on real samples."""

    losses: Tensor  # (n_parts,), the mean objective of all students on each part of the samples
    score: float  # as the history shows it
    n_dead: int  # students that learned nothing: their outputs are constant or not finite


def examine(
    training: Training, real: RealData, targets: Targets, objective: Objective | None
) -> Look:
    """Train students, and score them on ``real``."""
    goal = objective or targets.objective
    by_group, scores, n_dead = [], [], 0
    for params in training.trained():
        losses = []
        for x, y in real.in_parts(_PARTS):
            with torch.no_grad():
                outputs = training.student.apply(params, x)
            losses.append(mean_over_students(goal, outputs, y))
            spread = outputs.std(-2).amax(-1) if len(y) > 1 else outputs.new_ones(1)
        n_dead += int((~(spread > 1e-6)).sum())
        by_group.append(torch.stack(losses))
        if objective is None and targets.kind is not TargetKind.MULTILABEL:
            scores.append(SCORES[targets.kind](training.student, params, real).mean())
    losses = torch.stack(by_group).mean(0).double().cpu()
    # The share of samples with all labels right would be flat for long.
    score = float(torch.stack(scores).mean()) if scores else -float(losses.mean())
    return Look(losses, score, n_dead)


def looker(problem: Problem, distilled: DistilledSet) -> Callable[[], Look] | None:
    """What scores ``distilled`` on held-out samples with held-out students; None without."""
    if not len(problem.held_out):
        return None
    prior = problem.held_out_prior
    indices = distinct(prior, _N_STUDENTS)
    params = draw(prior, indices, problem.seed, Stream.HELD_OUT, device=problem.device)

    def look() -> Look:
        steps = inner_steps(distilled.x, distilled.y, distilled.lrs)
        training = Training(problem.student, params, steps)
        return examine(training, problem.held_out, problem.real.targets, problem.objective)

    return look
