"""CUDA graphs: an outer iteration whose shapes stay the same, recorded once and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .hypergradient import Estimator, Hypergradient, Task, Unrolled
from .outer_loop import Stateful

Function = Callable[..., tuple[Tensor, ...]]
"""Tensors -> tensors; changes none of its arguments."""

_WARM_UP = 3  # calls before a recording, in which libraries choose and allocate what they need


def record(function: Function, *inputs: Tensor) -> Function:
    """``function`` as one CUDA graph, for inputs of the shapes of these, on the current device."""
    static = [t.detach().clone() for t in inputs]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            function(*static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*static)

    def replay(*inputs: Tensor) -> tuple[Tensor, ...]:
        for place, t in zip(static, inputs, strict=True):
            place.copy_(t)
        graph.replay()
        return tuple(t.clone() for t in outputs)

    return replay


@dataclass(eq=False)
class CudaGraph:
    """An estimator that is recorded as a CUDA graph at its first call, and replayed at others.

    The kernels of a small net take less time than it takes to launch them, one by one, from Python;
    a replay launches all of an outer iteration at once. Student and objective must do the same work
    each time, without asking the device for a value. On other devices, and where an estimator draws
    at random or carries a state of its own, it is called as it is; where recording fails, a warning
    says so.

    Parameters
    ----------
    estimator : Estimator
        What is recorded: `Unrolled` without a window.
    """

    estimator: Estimator = field(default_factory=Unrolled)

    def __post_init__(self) -> None:
        self._recorded: dict[Any, Function | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A graph belongs to this process.
        return vars(self) | {"_recorded": {}}

    def __call__(self, task: Task) -> Hypergradient:
        if task.x.device.type != "cuda" or isinstance(self.estimator, Stateful):
            return self.estimator(task)
        with torch.cuda.device(task.x.device):
            return self.replayed(task)

    def replayed(self, task: Task) -> Hypergradient:
        """The hypergradient by a recording, where one can be made."""
        inputs = [*task.nets.values(), task.x, task.y, task.lrs, *task.real]
        key = (task.learner, task.objective, *((t.shape, t.dtype, t.device) for t in inputs))
        if key not in self._recorded:
            before = task.generator.get_state()
            estimate = self.estimator(task)
            drew = not torch.equal(before, task.generator.get_state())
            self._recorded[key] = None if drew else self._record(task, inputs)
            return estimate
        recorded = self._recorded[key]
        return self.estimator(task) if recorded is None else Hypergradient(*recorded(*inputs))

    def _record(self, task: Task, inputs: list[Tensor]) -> Function | None:
        def estimate(*inputs: Tensor) -> Hypergradient:
            *nets, x, y, lrs, x_real, y_real = inputs
            return self.estimator(
                task._replace(
                    nets=dict(zip(task.nets, nets, strict=True)),
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
