"""How well students do that were trained on distilled data alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .data import Array, RealData
from .engine.inner_loop import Apply, Params, Step, schedule, train, unroll


class Evaluation(NamedTuple):
    """Accuracy of students over several initialisations.

    Attributes
    ----------
    mean, std : float
        Mean and standard deviation of ``scores``.
    scores : ndarray of shape (n_inits,)
        Accuracy of each student after the whole schedule.
    step_scores : ndarray of shape (n_steps * n_epochs + 1, n_inits)
        Accuracy before the first gradient step and after each.
    """

    mean: float
    std: float
    scores: Array
    step_scores: Array


def accuracies(apply: Apply, params: Params, real: RealData) -> Tensor:
    """Accuracy (n_inits,) of stacked nets on all of ``real``."""
    hits: Tensor | int = 0
    with torch.no_grad():
        for x, y in real.in_order():
            hits = hits + (apply(params, x).argmax(-1) == y).sum(1)
    return torch.as_tensor(hits).cpu().double() / len(real)


def steps_of(x: Tensor, y: Tensor, lrs: Tensor) -> list[Step]:
    """The gradient steps that stacked (x, y, lrs) stand for."""
    return schedule(x.unbind(), y.unbind(), lrs.detach().flatten().unbind())


def train_and_score(apply: Apply, params: Params, steps: list[Step], real: RealData) -> Tensor:
    """Train stacked nets and return their accuracies (n_inits,)."""
    return accuracies(apply, train(apply, params, steps), real)


def evaluate(apply: Apply, params: Params, steps: list[Step], real: RealData) -> Evaluation:
    """Train stacked nets and score them before the first step and after each."""
    nets = unroll(apply, params, steps)
    scores = torch.stack([accuracies(apply, params, real) for params in nets]).numpy()
    return Evaluation(float(scores[-1].mean()), float(scores[-1].std()), scores[-1], scores)
