"""Where a fit starts: samples and step sizes, chosen by how well students learn from them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch

from .._distilled import DistilledData
from .._engine import Adam, DistilledSet, Stream, distinct, draw, fold
from .._evaluation import Training
from .look import affordable, evenly, examine
from .plan import is_open
from .problem import Problem
from .start import continued_set, starting_set

# Step sizes to choose from. A step of Adam moves each weight by about the step size.
_DESCENT, _ADAM = (0.03, 0.1, 0.3), (0.001, 0.003, 0.01)
_STARTS = ("kmeans", "mean", "real", "herding", "kcenters")
_N_STUDENTS, _MAX_ROWS = 4, 1000  # that starts are compared with
_ENOUGH = 100  # held-out samples
_SHARE = 1 / 10  # of the budget that this may take


def first_set(problem: Problem, previous: DistilledData | None) -> DistilledSet:
    """The distilled set before the first outer iteration; completes the plan.

    Where the plan is open, the kind of start and the step size are those from which students learn
    best in the whole schedule, on samples that are held out where these are enough: many centres
    of few samples suit those samples too well.
    """
    p = problem.parameters
    if previous is not None:
        for name in ("data_init", "distill_lr"):
            p.plan.decide(name, p.distiller.plan_[name], "as in the last fit")
        parametrisation = problem.real.targets.parametrisations[p.labels]
        batch, schedule = int(problem.real.counts.sum()), (p.n_epochs, p.n_steps)
        start = continued_set(previous, problem.recipe, batch, schedule, parametrisation)
        return start.to(problem.device)
    kinds = _STARTS if is_open(p.data_init) else (p.data_init,)
    of_optimizer = _ADAM if isinstance(problem.spec.optimizer, Adam) else _DESCENT
    sizes = of_optimizer if is_open(p.distill_lr) else (p.distill_lr,)
    starts = [_start(problem, kind) for kind in kinds]
    candidates = list(product(range(len(kinds)), sizes))
    n_students = _N_STUDENTS if len(candidates) > 1 else 0
    if n_students:
        most = affordable(problem, starts[0], len(candidates), _SHARE, _MAX_ROWS)
        n_students = min(n_students, most)
    if n_students:
        loss = _scorer(problem, n_students)
        found = [loss(starts[k], size) for k, size in candidates]
        k, size = candidates[found.index(min(found))]
        why = "students learn best from this start"
    else:
        k, size, why = 0, sizes[len(sizes) // 2], "the budget is too small to compare starts"
    p.plan.decide("data_init", kinds[k], why)
    p.plan.decide("distill_lr", size, why)
    lrs = torch.full_like(starts[k].lrs, p.distill_lr)
    return DistilledSet(starts[k].x, starts[k].y, lrs, parametrisation=starts[k].parametrisation)


def _start(problem: Problem, kind: object) -> DistilledSet:
    """A start with step sizes 1."""
    p = problem.parameters
    start = starting_set(
        problem.real, problem.training.rows, problem.recipe.units,
        np.random.default_rng(fold(problem.seed, Stream.START)),
        data_init=kind, schedule=(p.n_epochs, p.n_steps), lr=1.0, labels=p.labels,
    ).to(problem.device)  # fmt: skip
    if problem.varies is not None and isinstance(kind, str):
        with torch.no_grad():  # noise would make constant features vary
            start.free_x.mul_(problem.varies)
    return start


def _scorer(problem: Problem, n_students: int) -> Callable[[DistilledSet, float], float]:
    """(a set, a step size) -> the mean loss of students; lower is better."""
    held_out = problem.held_out.rows
    rows = held_out if len(held_out) >= _ENOUGH else problem.training.rows
    seen = evenly(problem, rows, _MAX_ROWS)
    indices = distinct(problem.training_prior, n_students)
    params = draw(
        problem.training_prior, indices, problem.seed, Stream.START, device=problem.device
    )

    def loss(start: DistilledSet, size: float) -> float:
        lrs = torch.full_like(start.lrs, size)
        training = Training(problem.student, params, start.x, start.y, lrs)
        found = examine(training, seen, problem.real.targets, problem.objective).losses.mean()
        return float(found.nan_to_num(torch.inf))

    return loss
