"""CUDA graphs: an outer iteration of fixed shapes, recorded once and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..losses import Objective
from ..student_fn import StudentFn
from .problem import Hypergradient, OuterProblem, Wrapper
from .unrolled import Unrolled

Function = Callable[..., tuple[Tensor, ...]]
"""Tensors -> tensors; leaves its arguments unchanged."""

_WARM_UP = 3  # calls before a recording, in which libraries choose kernels and allocate memory


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
class CudaGraph(Wrapper):
    """`Unrolled`, recorded as a CUDA graph at its first call and replayed at the others.

    The kernels of a small student take less time than launching them one by one from Python; a
    replay launches a whole outer iteration at once. Student and objective must do the same work
    each time, without asking the device for a value. On other devices the method is called as it
    is. Where recording fails, a warning says so. One process records one graph at a time.

    Parameters
    ----------
    method : Unrolled, default=Unrolled()
        What is recorded, without a window, because a window moves from one iteration to the next.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import CudaGraph, DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> DatasetDistiller(method=CudaGraph(), max_iter=20, random_state=0).fit(X, y).n_iter_
    20
    """

    method: Unrolled = field(default_factory=Unrolled)

    def __post_init__(self) -> None:
        if not isinstance(self.method, Unrolled) or self.method.window is not None:
            raise ValueError(
                f"CudaGraph records Unrolled without a window, but method={self.method!r}. Other "
                "methods do not do the same work each time: pass them as method themselves."
            )
        self._forget(None, None)

    def __reduce__(self) -> tuple[Any, ...]:
        # A graph belongs to this process.
        return CudaGraph, (self.method,)

    def _forget(self, student: StudentFn | None, objective: Objective | None) -> None:
        self._student, self._objective = student, objective
        self._recorded: dict[Any, Function | None] = {}

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient."""
        if problem.x.device.type != "cuda":
            return self.method(problem)
        with torch.cuda.device(problem.x.device):
            return self.replayed(problem)

    def replayed(self, problem: OuterProblem) -> Hypergradient:
        """The hypergradient from a recording, where one can be made."""
        if problem.student is not self._student or problem.objective is not self._objective:
            self._forget(problem.student, problem.objective)
        inputs = [*problem.params.values(), problem.x, problem.y, problem.lrs, *problem.real]
        key = tuple((t.shape, t.dtype, t.device) for t in inputs)
        if key not in self._recorded:
            self._recorded[key] = self._record(problem, inputs)
        recorded = self._recorded[key]
        return self.method(problem) if recorded is None else Hypergradient(*recorded(*inputs))

    def _record(self, problem: OuterProblem, inputs: list[Tensor]) -> Function | None:
        # Traced steps would save nothing, and must not be traced during a capture.
        student = replace(problem.student, accelerated=None, first=None)

        def estimate(*inputs: Tensor) -> Hypergradient:
            *params, x, y, lrs, x_real, y_real = inputs
            return self.method(
                problem._replace(
                    student=student, params=dict(zip(problem.params, params, strict=True)),
                    x=x, y=y, lrs=lrs, real=(x_real, y_real),
                )
            )  # fmt: skip

        try:
            return record(estimate, *inputs)
        except RuntimeError as error:
            warnings.warn(
                f"{self.method!r} cannot be recorded as a CUDA graph and is called as it is: "
                f"{error}",
                stacklevel=2,
            )
            return None
