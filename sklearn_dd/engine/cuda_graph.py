"""CUDA graphs: an outer iteration whose shapes stay the same, recorded once and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .hypergradient import Hypergradient, Task, Unrolled
from .inner_loop import Learner
from .objectives import Objective
from .traced import untraced

Function = Callable[..., tuple[Tensor, ...]]
"""Tensors -> tensors; changes none of its arguments."""

_WARM_UP = 3  # calls before a recording, in which libraries choose and allocate what they need


def record(function: Function, *inputs: Tensor) -> Function:
    """``function`` as one CUDA graph, for inputs of the shapes of these, on the current device."""
    static = [t.detach().clone() for t in inputs]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    # A capture that fails leaves its stream behind as the current one.
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            function(*static)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            outputs = function(*static)
    torch.cuda.current_stream().wait_stream(stream)

    @torch.no_grad()
    def replay(*inputs: Tensor) -> tuple[Tensor, ...]:
        for place, t in zip(static, inputs, strict=True):
            place.copy_(t)
        graph.replay()
        return tuple(t.clone() for t in outputs)

    return replay


@dataclass(eq=False)
class CudaGraph:
    """`Unrolled`, recorded as a CUDA graph at its first call and replayed at others.

    The kernels of a small net take less time than it takes to launch them, one by one, from Python;
    a replay launches all of an outer iteration at once. Student and objective must do the same work
    each time, without asking the device for a value. On other devices the estimator is called as it
    is; where recording fails, a warning says so. One process records one graph at a time.

    Parameters
    ----------
    estimator : Unrolled
        What is recorded; without a window, whose place changes from one iteration to the next.
    """

    estimator: Unrolled = field(default_factory=Unrolled)

    def __post_init__(self) -> None:
        if not isinstance(self.estimator, Unrolled) or self.estimator.window is not None:
            raise ValueError(
                f"CudaGraph records Unrolled without a window, but estimator={self.estimator!r}. "
                "Others do not the same work each time: give them as method themselves."
            )
        self._forget(None, None)

    def __reduce__(self) -> tuple[Any, ...]:
        # A graph belongs to this process.
        return CudaGraph, (self.estimator,)

    def _forget(self, learner: Learner | None, objective: Objective | None) -> None:
        self._learner, self._objective = learner, objective
        self._recorded: dict[Any, Function | None] = {}

    def __call__(self, task: Task) -> Hypergradient:
        if task.x.device.type != "cuda":
            return self.estimator(task)
        with torch.cuda.device(task.x.device):
            return self.replayed(task)

    def replayed(self, task: Task) -> Hypergradient:
        """The hypergradient by a recording, where one can be made."""
        if task.learner is not self._learner or task.objective is not self._objective:
            self._forget(task.learner, task.objective)
        inputs = [*task.nets.values(), task.x, task.y, task.lrs, *task.real]
        key = tuple((t.shape, t.dtype, t.device) for t in inputs)
        if key not in self._recorded:
            self._recorded[key] = self._record(task, inputs)
        recorded = self._recorded[key]
        return self.estimator(task) if recorded is None else Hypergradient(*recorded(*inputs))

    def _record(self, task: Task, inputs: list[Tensor]) -> Function | None:
        # Steps as programs would save nothing, and must not be traced amid a capture.
        learner = replace(task.learner, optimizer=untraced(task.learner.optimizer))

        def estimate(*inputs: Tensor) -> Hypergradient:
            *nets, x, y, lrs, x_real, y_real = inputs
            return self.estimator(
                task._replace(
                    learner=learner, nets=dict(zip(task.nets, nets, strict=True)),
                    x=x, y=y, lrs=lrs, real=(x_real, y_real),
                )
            )  # fmt: skip

        try:
            return record(estimate, *inputs)
        except RuntimeError as error:
            warnings.warn(
                f"{self.estimator!r} cannot be recorded as a CUDA graph and is called as it is: "
                f"{error}",
                stacklevel=2,
            )
            return None
