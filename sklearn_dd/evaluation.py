"""How well students do that were trained on distilled data alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .data import Array, RealData
from .engine.inner_loop import Apply, Params, schedule, unroll


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


def trajectory(apply: Apply, params: Params, x: Tensor, y: Tensor, lrs: Tensor) -> Iterator[Params]:
    """Stacked nets before the first gradient step on (x, y, lrs) and after each."""
    return unroll(apply, params, schedule(x.unbind(), y.unbind(), lrs.detach().flatten().unbind()))


def train_and_score(
    apply: Apply, params: Params, x: Tensor, y: Tensor, lrs: Tensor, real: RealData
) -> Tensor:
    """Train stacked nets on (x, y, lrs) and return their accuracies (n_inits,)."""
    *_, params = trajectory(apply, params, x, y, lrs)
    return accuracies(apply, params, real)


def evaluate(
    apply: Apply, params: Params, x: Tensor, y: Tensor, lrs: Tensor, real: RealData
) -> Evaluation:
    """Train stacked nets on (x, y, lrs) and score them after every step."""
    nets = trajectory(apply, params, x, y, lrs)
    scores = torch.stack([accuracies(apply, params, real) for params in nets]).numpy()
    return Evaluation(float(scores[-1].mean()), float(scores[-1].std()), scores[-1], scores)
