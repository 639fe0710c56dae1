"""Where a fit starts: samples and step sizes, chosen by how well students learn from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._distilled import DistilledData
from .._engine import (
    Adam,
    DistilledSet,
    Several,
    Stream,
    distinct,
    draw,
    fold,
    has_models,
)
from .._evaluation import Training
from .look import affordable, evenly, examine, losses_of_parts
from .plan import is_open
from .problem import Problem
from .start import continued_set, starting_set

# Step sizes to choose from. A step of Adam moves each weight by about the step size.
_DESCENT, _ADAM = (0.03, 0.1, 0.3, 1.0), (0.001, 0.003, 0.01)
_LONGEST = 0.3  # step of descent to learn samples for: with longer ones, training turns chaotic
_MIDDLE = 1  # of the step sizes, which is taken without a measurement
_STARTS = ("kmeans", "mean", "real", "herding", "kcenters")
_OF_MODELS = (*_STARTS, "medoids")  # trees split well between real samples
_FEW = 200  # iterations in which samples learn little
_LOSABLE = 1 / 2  # of what students learn from the best start: longer steps may cost so much
_N_STUDENTS, _MAX_ROWS = 4, 1000  # that starts are compared with
_ENOUGH = 100  # held-out samples
_SHARE = 1 / 10  # of the budget that this may take
_LEAST = 1 / 20  # of the loss of outputs of 0, that a student's own measure is at least


class Starts(NamedTuple):
    """What a fit starts from, and what it falls back to."""

    first: DistilledSet  # before the first outer iteration
    fallback: DistilledSet
    # Of each of several students, after it has learned from the start that teaches it best.
    losses: Tensor | None = None
    each: Sequence[DistilledSet] = ()  # one of each kind, the best first


def first_set(problem: Problem, previous: DistilledData | None) -> Starts:
    """The distilled set before the first outer iteration, and the one to fall back to.

    Completes the plan. Where it is open, each kind of start is tried with each step size, in the
    whole schedule, on samples that are held out where these are enough: many centres of few samples
    suit those samples too well. A fit falls back to the pair from which students learn best. It
    starts from steps of 0.3, or the longest below from which they still learn at least half as
    much, for samples that are learned for long steps teach more. In 200 iterations or fewer they
    learn little, and start from the best pair.
    """
    p = problem.parameters
    if previous is not None:
        return _continued(problem, previous)
    learn_models = has_models(problem.student)
    kinds: tuple[Any, ...] = _OF_MODELS if learn_models else _STARTS
    if not is_open(p.data_init):
        kinds = (p.data_init,)
    descends = not isinstance(problem.spec.optimizer, Adam)
    sizes = (_DESCENT if descends else _ADAM) if is_open(p.distill_lr) else (p.distill_lr,)
    starts = [_start(problem, kinds[0])]
    n_pairs = len(kinds) * len(sizes)
    n = affordable(problem, starts[0], _SHARE, _MAX_ROWS) if n_pairs > 1 else 0
    if n >= n_pairs:
        starts += [_start(problem, kind) for kind in kinds[1:]]
    pairs = product(range(len(starts)), sizes)
    candidates = {(k, size): _with_steps(starts[k], size) for k, size in pairs}
    least = None
    if 1 < len(candidates) <= n:
        n_students = min(_N_STUDENTS // (2 if learn_models else 1), n // len(candidates))
        losses, of_nothing, least = _measure(problem, candidates, n_students)
        of_kind = [min(product([k], sizes), key=losses.__getitem__) for k in range(len(starts))]
        best = min(of_kind, key=losses.__getitem__)
        first = best
        if descends and is_open(p.distill_lr) and not p.plan.expects_at_most(_FEW):
            most = losses[best] + _LOSABLE * max(0.0, of_nothing - losses[best])
            able = [c for c in candidates if losses[c] <= most < math.inf and c[1] <= _LONGEST]
            first = max(able or [best], key=lambda c: (c[1], -losses[c]))
        why = "students learn well from it"
        if first != best:
            why += f"; best without learning: {kinds[best[0]]!r}, {best[1]}"
    else:
        best = first = 0, sizes[min(_MIDDLE, len(sizes) - 1)]
        of_kind = [best]
        why = "the budget is too small to compare starts"
    p.plan.decide("data_init", kinds[first[0]], why)
    p.plan.decide("distill_lr", first[1], why)
    if least is None:
        least = _losses_of_each(problem, candidates[best])
    each = [candidates[best], *(candidates[c] for c in of_kind if c != best)]
    return Starts(candidates[first], candidates[best], least, each)


def _continued(problem: Problem, previous: DistilledData) -> Starts:
    """What the last fit ended with."""
    p = problem.parameters
    for name in ("data_init", "distill_lr"):
        p.plan.decide(name, p.distiller.plan_[name], "as in the last fit")
    parametrisation = problem.real.targets.parametrisations[p.labels]
    batch, schedule = int(problem.real.counts.sum()), problem.schedule
    start = continued_set(previous, problem.recipe, batch, schedule, parametrisation)
    start = start.to(problem.device)
    start.snap = problem.snap
    return Starts(start, start, _losses_of_each(problem, start), [start])


def _losses_of_each(problem: Problem, start: DistilledSet) -> Tensor | None:
    """The loss of each of several students that learn from a start; None for one student."""
    if not isinstance(problem.student, Several) or problem.objective is not None:
        return None
    return _measure(problem, {(0, 1.0): start}, 1).least


def _with_steps(start: DistilledSet, size: float) -> DistilledSet:
    lrs = torch.full_like(start.lrs, size)
    return DistilledSet(
        start.x, start.y, lrs, parametrisation=start.parametrisation, snap=start.snap
    )


def _start(problem: Problem, kind: object) -> DistilledSet:
    """A start with step sizes 1."""
    p = problem.parameters
    start = starting_set(
        problem.real, problem.training.rows, problem.recipe.units,
        np.random.default_rng(fold(problem.seed, Stream.START)),
        data_init=kind if isinstance(kind, str) else problem.recipe.numbers(kind),
        schedule=problem.schedule, lr=1.0, labels=p.labels,
    ).to(problem.device)  # fmt: skip
    start.snap = problem.snap
    if problem.varies is not None and isinstance(kind, str):
        with torch.no_grad():  # noise would make constant features vary
            start.free_x.mul_(problem.varies)
    return start


class Measured(NamedTuple):
    """How well students learn from each candidate: a start and a step size.

    Attributes
    ----------
    losses : dict
        Candidate -> mean loss. That of several students is the mean of their losses, each as a
        share of its least.
    of_nothing : float
        The loss of outputs of 0, on the same scale.
    least : Tensor of shape (n_students,) or None
        The least loss of each of several students.
    """

    losses: dict[tuple[int, float], float]
    of_nothing: float
    least: Tensor | None


def _measure(
    problem: Problem,
    candidates: Mapping[tuple[int, float], DistilledSet],
    n_students: int,
) -> Measured:
    """Train students on each candidate."""
    look, of_nothing = _examiner(problem, n_students)
    each = torch.stack([look(start) for start in candidates.values()])
    least = None
    has_measure = problem.objective is None and 0 < of_nothing < math.inf  # not for a constant y
    if isinstance(problem.student, Several) and has_measure:
        least = each.amin(0).clamp(min=_LEAST * of_nothing, max=of_nothing)
        each, of_nothing = each / least, float((of_nothing / least).mean())
    losses = dict(zip(candidates, each.mean(1).tolist(), strict=True))
    return Measured(losses, of_nothing, least)


def _examiner(problem: Problem, n_students: int) -> tuple[Callable[[DistilledSet], Tensor], float]:
    """What gives the loss of each student that learns from a set, and the loss of outputs of 0."""
    held_out, targets = problem.held_out.rows, problem.real.targets
    rows = held_out if len(held_out) >= _ENOUGH else problem.training.rows
    seen = evenly(problem, rows, _MAX_ROWS)
    prior = problem.training_prior
    indices = distinct(prior, n_students)
    params = draw(prior, indices, problem.seed, Stream.START, device=problem.device)

    def look(start: DistilledSet) -> Tensor:
        training = Training(problem.student, params, start.x, start.y, start.lrs)
        found = examine(training, seen, targets, problem.objective)
        return torch.tensor(found.each, dtype=torch.float64).nan_to_num(torch.inf)

    y = seen.y[seen.rows]
    nothing = torch.zeros(len(y), targets.n_outputs)
    of_nothing = losses_of_parts(problem.objective or targets.objective, nothing, y).mean()
    return look, float(of_nothing.nan_to_num(torch.inf))
