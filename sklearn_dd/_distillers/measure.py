"""Where a fit starts: samples and step sizes, chosen by how well students learn from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .._distilled import DistilledData
from .._engine import Adam, DistilledSet, Stream, distinct, draw, fold, inner_steps
from .._evaluation import Training
from .look import evenly, examine
from .plan import is_open
from .problem import Problem
from .start import continued_set, starting_set

# Step sizes to choose from. A step of Adam moves each weight by about the step size.
_DESCENT, _ADAM = (0.03, 0.1, 0.3, 1.0), (0.001, 0.003, 0.01)
_STARTS = ("kmeans", "mean", "real")
_N_STUDENTS, _MAX_ROWS = 4, 1000  # that starts are compared with


def first_set(problem: Problem, previous: DistilledData | None) -> DistilledSet:
    """The distilled set before the first outer iteration; completes the plan.

    Where the plan is open, the kind of start and the step size are those from which students learn
    best in the whole schedule, on training samples.
    """
    p = problem.parameters
    if previous is not None:
        parametrisation = problem.real.targets.parametrisations[p.labels]
        batch, schedule = int(problem.real.counts.sum()), (p.n_epochs, p.n_steps)
        start = continued_set(previous, problem.recipe, batch, schedule, parametrisation)
        return start.to(problem.device)
    loss, plan = _scorer(problem), p.plan
    kinds = list(_STARTS) if is_open(p.data_init) else [p.data_init]
    sizes = _ADAM if isinstance(problem.spec.optimizer, Adam) else _DESCENT
    if is_open(p.distill_lr):
        found = {size: loss(_start(problem, kinds[0], size)) for size in sizes}
        best = min(found, key=found.__getitem__)
        plan.decide("distill_lr", best, "students learn best with it from the start")
    if len(kinds) > 1:
        found = {kind: loss(_start(problem, kind, p.distill_lr)) for kind in kinds}
        plan.decide("data_init", min(found, key=found.__getitem__), "students learn best from it")
    return _start(problem, p.data_init, p.distill_lr)


def _start(problem: Problem, kind: object, lr: float) -> DistilledSet:
    p = problem.parameters
    return starting_set(
        problem.real, problem.training.rows, problem.recipe.units,
        np.random.default_rng(fold(problem.seed, Stream.START)),
        data_init=kind, schedule=(p.n_epochs, p.n_steps), lr=lr, labels=p.labels,
    ).to(problem.device)  # fmt: skip


def _scorer(problem: Problem) -> Callable[[DistilledSet], float]:
    """The mean loss, on training samples, of students that learn from a set; lower is better."""
    rows = np.random.default_rng(problem.seed).permutation(problem.training.rows)[:_MAX_ROWS]
    seen = evenly(problem, rows)
    indices = distinct(problem.training_prior, _N_STUDENTS)
    params = draw(
        problem.training_prior, indices, problem.seed, Stream.START, device=problem.device
    )

    def loss(distilled: DistilledSet) -> float:
        training = Training(
            problem.student, params, inner_steps(distilled.x, distilled.y, distilled.lrs)
        )
        found = examine(training, seen, problem.real.targets, problem.objective).losses.mean()
        return float(found.nan_to_num(torch.inf))

    return loss
