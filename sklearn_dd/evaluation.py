"""How well students do that were trained on distilled data alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .data import Array, RealData
from .engine.inner_loop import Learner, train, unroll
from .engine.objectives import Objective, mean_over_nets
from .engine.optimizers import Params, Step
from .memory import kept_memory


class Evaluation(NamedTuple):
    """Scores of students over several initialisations: their accuracy, or R² in a regression.

    Attributes
    ----------
    mean, std : float
        Mean and standard deviation of ``scores``.
    scores : ndarray of shape (n_inits,)
        Score of each student after the whole schedule.
    step_scores : ndarray of shape (n_steps * n_epochs + 1, n_inits) or (1, n_inits)
        Score before the first gradient step and after each; or one row, that after the last.
    """

    mean: float
    std: float
    scores: Array
    step_scores: Array


Score = Callable[[Learner, Params, RealData], Tensor]
"""(learner, params of one net or of several, real samples) -> a score for each net (n_nets,)."""


def accuracies(learner: Learner, params: Params, real: RealData) -> Tensor:
    """Accuracy (n_nets,) on all of ``real`` of one net or of several, stacked."""
    return _share(learner, params, real, lambda logits, y: logits.argmax(-1) == y)


def subset_accuracies(learner: Learner, params: Params, real: RealData) -> Tensor:
    """Share (n_nets,) of the samples whose labels are all right; its y is (n, n_labels)."""
    return _share(learner, params, real, lambda logits, y: ((logits > 0) == (y > 0)).all(-1))


def _share(
    learner: Learner,
    params: Params,
    real: RealData,
    right: Callable[[Tensor, Tensor], Tensor],  # of a batch's outputs and y
) -> Tensor:
    """Share (n_nets,) of ``real`` that one net or several, stacked, are right about."""
    hits: Tensor | int = 0
    with torch.no_grad():
        for x, y in real.in_order():
            outputs = learner.apply(params, x)
            # A net that has diverged is right about nothing, also where "not a number" is class 0.
            hits = hits + (right(outputs, y) & outputs.isfinite().all(-1)).sum(-1)
    return torch.as_tensor(hits).reshape(-1).cpu().double() / len(real)


def r2_scores(learner: Learner, params: Params, real: RealData) -> Tensor:
    """R² (n_nets,) on all of ``real`` of one net or of several, stacked; its y is (n, 1)."""
    residual: Tensor | float = 0.0
    with torch.no_grad():
        for x, y in real.in_order():
            errors = (learner.apply(params, x) - y).square().sum((-1, -2))
            residual = residual + errors.cpu().double()
    y = real.y[real.rows].double()
    total = (y - y.mean()).square().sum()
    # Of constant numbers the errors themselves tell which net is better.
    return 1 - torch.as_tensor(residual).reshape(-1) / (total if total > 0 else 1)


@kept_memory()
def train_and_score(
    learner: Learner,
    params: Params,
    steps: list[Step],
    real: RealData,
    score: Score = accuracies,
) -> Tensor:
    """Train stacked nets and return their scores (n_inits,)."""
    start = learner.optimizer.start
    return torch.cat(
        [
            score(learner, train(learner, start(group), steps)[0], real)
            for group in learner.groups(params)
        ]
    )


def train_and_judge(
    learner: Learner, params: Params, steps: list[Step], real: RealData, objective: Objective
) -> float:
    """Train stacked nets and return minus the objective, mean over nets and ``real``."""
    start, total = learner.optimizer.start, 0.0
    groups = learner.groups(params)
    for group in groups:
        nets = train(learner, start(group), steps)[0]
        for x, y in real.in_order():
            with torch.no_grad():
                loss = mean_over_nets(objective, learner.apply(nets, x), y)
            total -= float(loss) * len(y)
    return total / len(groups) / len(real)


@kept_memory()
def evaluate(
    learner: Learner,
    params: Params,
    steps: list[Step],
    real: RealData,
    each_step: bool,
    score: Score = accuracies,
) -> Evaluation:
    """Train stacked nets and score them before the first step and after each, or at the end."""
    if each_step:
        start = learner.optimizer.start
        by_group = [
            torch.stack([score(learner, nets, real) for nets, *_ in unroll(learner, c, steps)])
            for c in map(start, learner.groups(params))
        ]
        scores = torch.cat(by_group, dim=1).numpy()
    else:
        scores = train_and_score(learner, params, steps, real, score)[None].numpy()
    return Evaluation(float(scores[-1].mean()), float(scores[-1].std()), scores[-1], scores)
