"""Outer loops of a few iterations, and methods that give them trouble."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sklearn_dd._engine import (
    CLASS_PROBABILITIES,
    DistilledSet,
    Hypergradient,
    LabelParametrisation,
    Method,
    OuterLoop,
    OuterProblem,
    Pool,
    Unrolled,
    classification,
)
from sklearn_dd._engine.priors import random

from .problems import mlp, two_layers


class NotFinite(Method):
    """A method whose calls ``bad`` are not finite; notes the samples that it has seen."""

    def __init__(self, bad: Iterable[int], method: Method | None = None) -> None:
        self.bad, self.method = bad, method or Unrolled()
        self.seen: list[Tensor] = []

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        self.seen.append(problem.x.detach().clone())
        found = self.method(problem)
        if len(self.seen) - 1 in self.bad:
            found.x[0, 0, 0] = math.nan
        return found


class RunningMean(Method):
    """A method whose gradient for the samples is a mean over iterations."""

    def __init__(self) -> None:
        self.mean = torch.zeros(())

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        found = Unrolled(window=2)(problem)
        self.mean = 0.5 * (self.mean + found.x)
        return found._replace(x=self.mean)

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"mean": self.mean}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.mean = state["mean"]


def steady_loop(
    method: Any = None, max_iter: float = 30, lr: float = 0.05, **changed: Any
) -> OuterLoop:
    """A loop of one known net and one real batch."""
    problem = mlp()
    (net,) = problem.each_init()
    return OuterLoop(
        DistilledSet(problem.x, problem.y, problem.lrs, parametrisation=CLASS_PROBABILITIES),
        method or Unrolled(), problem.student, Pool([net]), lambda _: problem.real, classification,
        max_iter=max_iter, lr=lr, step_size_lr=lr / 5, n_inits=1, seed=0, **changed,
    )  # fmt: skip


def random_loop(
    bad: Iterable[int] = (),
    max_iter: float = 7,
    n_inits: int = 2,
    parametrisation: LabelParametrisation | None = CLASS_PROBABILITIES,
    method: Any = None,
    **changed: Any,
) -> OuterLoop:
    """A loop in which init, window and batch are drawn anew each time."""
    problem = mlp()

    def sample(g: torch.Generator) -> tuple[Tensor, ...]:
        rows = torch.randperm(len(problem.real[0]), generator=g)[:5]
        return tuple(part[rows] for part in problem.real)

    return OuterLoop(
        DistilledSet(problem.x, problem.y, problem.lrs, parametrisation=parametrisation),
        method or NotFinite(bad, Unrolled(window=2)), problem.student,
        random(lambda: two_layers().double()), sample, classification,
        max_iter=max_iter, lr=0.05, step_size_lr=0.01, n_inits=n_inits, seed=0, **changed,
    )  # fmt: skip


def same(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states are equal to the bit."""
    return state.keys() == other.keys() and all(torch.equal(state[k], other[k]) for k in state)
