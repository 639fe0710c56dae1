"""The outer loop: sample, estimate, step, notify."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .distilled_set import DistilledSet
from .hypergradient import Estimator
from .inner_loop import Learner
from .objectives import Objective
from .priors import Prior, draw
from .seeds import Stream, generator

Sampler = Callable[[torch.Generator], tuple[Tensor, Tensor]]
"""A generator -> a real batch: x (n, *sample_shape) and y (n,)."""


class Iteration(NamedTuple):
    """What happened in one outer iteration."""

    done: int  # iterations so far, this one included
    loss: float
    gradient_norm: float
    undone: int  # iterations in a row, this one included, that were not finite and were undone


def cosine(i: int, n: int) -> float:
    """From 1 at i = 0 to 0 at i = n along half a cosine (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * i / n))


def outer_loop(
    distilled: DistilledSet,
    estimator: Estimator,
    learner: Learner,
    prior: Prior,
    sample: Sampler,
    objective: Objective,
    *,
    max_iter: int,
    lr: float,
    step_size_lr: float,
    n_inits: int,
    seed: int,
    max_norm: float = 1.0,
    max_undone: int = 5,
) -> Iterator[Iteration]:
    """Improve ``distilled`` in place with Adam, and yield after each iteration.

    The step sizes η have a rate of their own: when they creep up as fast as the samples move, the
    inner loop diverges. An iteration that is not finite is undone: the distilled set goes back to
    where its gradient was last finite, and the rates are halved. After ``max_undone`` of them in a
    row the loop ends.
    """
    rates = [lr, step_size_lr]
    groups = [distilled.samples, [distilled.free_lrs]]
    # A β₁ of 0.5 is the paper's; the fast forgetting suits the noise of fresh inits and batches.
    optimizer = torch.optim.Adam([{"params": g} for g in groups], betas=(0.5, 0.999))
    sound, undone = distilled.snapshot(), 0
    device = distilled.x.device

    for i in range(max_iter):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * cosine(i, max_iter)
        estimate = estimator(
            learner,
            draw(prior, n_inits, seed, Stream.INIT, i, device=device),
            distilled.x,
            distilled.y,
            distilled.lrs,
            objective,
            sample(generator(seed, Stream.BATCH, i)),
            generator(seed, Stream.WINDOW, i),
        )
        distilled.pull_back(estimate.x, estimate.y, estimate.lrs)
        norm = float(torch.nn.utils.clip_grad_norm_(distilled.free, max_norm))
        loss = float(estimate.loss)
        if math.isfinite(norm) and math.isfinite(loss):
            sound, undone = distilled.snapshot(), 0
            optimizer.step()
        else:
            distilled.restore(sound)
            rates, undone = [rate / 2 for rate in rates], undone + 1
        yield Iteration(i + 1, loss, norm, undone)
        if undone == max_undone:
            return
