"""The outer problem that the benchmarks of speed share, and how they time an outer iteration."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sklearn_dd import MLP, ConvNet, LeNet
from sklearn_dd._data import Multiclass
from sklearn_dd._distillers.phases import phases_of
from sklearn_dd._engine import Method, OuterProblem
from sklearn_dd._engine.fast import tracing
from sklearn_dd._student import Acceleration, choose_student, student_fn

CPU = torch.device("cpu")
TARGETS = Multiclass(np.arange(10))
PLAIN = Acceleration(*[False for _ in Acceleration._fields])
NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "LeNet": (LeNet, (1, 28, 28)),
    "MLP": (MLP, (784,)),
    "ConvNet 8 × 8": (ConvNet, (1, 8, 8)),
    "ConvNet 16 × 16": (ConvNet, (1, 16, 16)),
}


def outer_problem(
    network: str,
    n_epochs: int,
    *,
    n_steps: int = 1,
    n_real: int = 1024,
    n_inits: int = 1,
    spread: float = 0.0,
    device: torch.device = CPU,
    acceleration: Acceleration | None = None,
) -> OuterProblem:
    """Random data: ten images a step, ten classes. ``spread`` is how far the students differ."""
    module, shape = NETWORKS[network]
    torch.manual_seed(0)
    spec = choose_student(module, shape, TARGETS)
    params = {name: p.detach() for name, p in spec().named_parameters()}
    lrs = 0.02 * (1 + 0.3 * torch.randn(n_epochs, n_steps).tanh())
    x, y = torch.randn(n_steps, 10, *shape), torch.randn(n_steps, 10, 10).softmax(-1)
    return OuterProblem(
        student_fn(spec, device, TARGETS.loss, acceleration),
        {k: (p + spread * torch.randn(n_inits, *p.shape)).to(device) for k, p in params.items()},
        x.to(device), y.to(device), lrs.to(device), TARGETS.objective,
        (torch.randn(n_real, *shape).to(device), torch.randint(10, (n_real,)).to(device)),
        torch.Generator().manual_seed(0),
    )  # fmt: skip


def default_method(problem: OuterProblem) -> Method:
    """The method of a default fit of this problem, with the micro-batch that it chooses."""
    shape, device = tuple(problem.x.shape[2:]), problem.x.device
    (phase,) = phases_of("unrolled", None, "learned", None, problem.student, TARGETS, shape, device)
    return phase.method


def trace_at_once() -> None:
    """Trace a step when it is first seen, as after the first second of a fit."""
    tracing.TRACE_AFTER = 1


class Seconds(NamedTuple):
    """Time of a run."""

    wall: float
    cpu: float  # of this process alone: other programs cost none


def seconds(run: Callable[[], object], repeats: int = 1) -> Seconds:
    """Time of one run, mean over ``repeats``."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        run()
    return Seconds((time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats)
