"""Ordinary training loops, drawn at random, that learn from the set beside its own schedule."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..fast.tracing import Traced
from ..optimizers import SGD, Adam, Momentum, Optimizer
from ..student_fn import StudentFn
from .problem import Hypergradient, Method, OuterProblem, State, Wrapper, as_method
from .unrolled import Unrolled

# Step sizes that such a loop takes, from and to; drawn evenly on a logarithmic scale.
STEP_SIZES: dict[Optimizer, tuple[float, float]] = {
    SGD(): (0.03, 0.3),
    Momentum(0.9): (0.003, 0.1),
    Adam(): (0.001, 0.01),
}
# Rows in a mini-batch, or all rows if there are fewer. Steps of few shapes are soon traced.
BATCH_SIZES = 16, 64


class Loop(NamedTuple):
    """A training loop with shuffled rows.

    Attributes
    ----------
    optimizer : Optimizer
        How a gradient becomes a step.
    rows : Tensor of shape (n_steps, batch)
        The rows of the distilled set that each step trains on.
    lrs : Tensor of shape (n_steps,)
        The step sizes.
    """

    optimizer: Optimizer
    rows: Tensor
    lrs: Tensor


@dataclass(eq=False)
class OrdinaryLoops(Wrapper):
    """A method whose samples should also serve ordinary training loops, of any order and length.

    Each call draws such a loop: SGD, SGD with a momentum of 0.9 or Adam, with one step size for all
    steps, and mini-batches of 16 or 64 rows that are shuffled anew in each epoch. If the learned
    schedule has several mini-batches, the loop may also be the schedule with shuffled rows.

    The gradient for samples and labels is that of ``method``, for the learned schedule, plus that
    of the loop. The loop's is shortened if it is longer, because that of a student that has learned
    little can be very long, and left out if it is not finite. The outer loss and the gradient for
    the step sizes are those of the learned schedule alone.

    Parameters
    ----------
    method : Method, default=Unrolled()
        What differentiates through the learned schedule.
    drawn : Method, default=Unrolled(window=20)
        What differentiates through the loop. With a window, each loop has a random length.
    n_steps : int, default=100
        Gradient steps of the longest loop.
    weight : float, default=1.0
        Largest norm of the loop's gradient, in units of that of the learned schedule. With several
        processes, each shortens its own share.

    Notes
    -----
    The mini-batches of a loop are copied: up to 6,400 samples with the default of 100 steps. For
    large images, lower ``n_steps``.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, OrdinaryLoops
    >>> X, y = load_wine(return_X_y=True)
    >>> method = OrdinaryLoops(n_steps=30)
    >>> DatasetDistiller(method=method, max_iter=20, random_state=0).fit(X, y).n_iter_
    20
    """

    method: Method = field(default_factory=Unrolled)
    _: KW_ONLY
    drawn: Method = field(default_factory=lambda: Unrolled(window=20))
    n_steps: int = 100
    weight: float = 1.0

    def __post_init__(self) -> None:
        n_steps: Any = self.n_steps
        if not isinstance(n_steps, Integral) or n_steps < 1:
            raise ValueError(
                f"n_steps must be an int of at least 1, got {n_steps!r}. The default is 100."
            )
        if not 0 < self.weight < math.inf:
            raise ValueError(
                f"weight must be positive and finite, got {self.weight!r}. For the learned "
                "schedule alone, use method by itself."
            )
        self.method, self.drawn = as_method(self.method), as_method(self.drawn)
        self._student: StudentFn | None = None
        self._students: dict[Optimizer, StudentFn] = {}  # as ``_student``, by optimiser

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and the gradient."""
        own = self.method(problem)
        loop = draw_loop(problem, self.n_steps)
        student = self._trained_with(loop.optimizer, problem.student)
        other = along(loop, self.drawn, problem._replace(student=student))
        return own._replace(
            x=own.x + _at_most(self.weight * own.x.norm(), other.x),
            y=own.y + _at_most(self.weight * own.y.norm(), other.y),
        )

    def _trained_with(self, optimizer: Optimizer, student: StudentFn) -> StudentFn:
        """The student with another optimiser; the same object each time, as tracing needs."""
        if optimizer == student.optimizer:
            return student
        if student is not self._student:
            self._student, self._students = student, {}
        if optimizer not in self._students:
            traced = None if student.accelerated is None else Traced(optimizer)
            self._students[optimizer] = replace(
                student, optimizer=optimizer, accelerated=traced, first=None
            )
        return self._students[optimizer]

    def state_dict(self) -> State:
        """What both methods carry."""
        drawn = {f"drawn/{name}": t for name, t in self.drawn.state_dict().items()}
        return {**self.method.state_dict(), **drawn}

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        prefix = "drawn/"
        drawn = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
        self.drawn.load_state_dict(drawn)
        self.method.load_state_dict({k: t for k, t in state.items() if not k.startswith(prefix)})


def draw_loop(problem: OuterProblem, n_steps: int) -> Loop:
    """Draw an ordinary loop of ``n_steps`` steps, or the learned schedule with shuffled rows."""
    g, n = problem.generator, problem.x.shape[:2].numel()
    has_order = len(problem.x) > 1  # the rows of one mini-batch have none
    kind = _index(len(STEP_SIZES) + has_order, g)
    if kind == len(STEP_SIZES):
        rows = _shuffled(problem, problem.lrs.numel(), problem.x.shape[1])
        return Loop(problem.student.optimizer, rows, problem.lrs.detach().flatten())
    optimizer, (low, high) = [*STEP_SIZES.items()][kind]
    sizes = sorted({min(n, size) for size in BATCH_SIZES})
    rows = _shuffled(problem, n_steps, sizes[_index(len(sizes), g)])
    uniform = torch.rand((), generator=g, dtype=torch.float64).item()
    return Loop(optimizer, rows, problem.lrs.new_full((n_steps,), low * (high / low) ** uniform))


def _shuffled(problem: OuterProblem, n_steps: int, batch: int) -> Tensor:
    """The rows of each step, in a new order in each epoch.

    Epochs follow one another without a break: the last rows of one and the first of the next may
    share a mini-batch. So all steps have the same shapes, and no row is left out.
    """
    n = problem.x.shape[:2].numel()
    n_epochs = math.ceil(n_steps * batch / n)
    epochs = [torch.randperm(n, generator=problem.generator) for _ in range(n_epochs)]
    return torch.cat(epochs)[: n_steps * batch].view(n_steps, batch).to(problem.x.device)


def along(loop: Loop, method: Method, problem: OuterProblem) -> Hypergradient:
    """The outer loss after ``loop``, and its gradient; 0 for the learned step sizes."""
    x, y = (t.detach().flatten(0, 1) for t in (problem.x, problem.y))
    found = method(problem._replace(x=x[loop.rows], y=y[loop.rows], lrs=loop.lrs[None]))
    rows = loop.rows.flatten()
    dx, dy = (
        # A row is trained on once in each epoch.
        torch.zeros_like(t).index_add_(0, rows, d.flatten(0, 1)).view_as(whole)
        for t, d, whole in ((x, found.x, problem.x), (y, found.y, problem.y))
    )
    return Hypergradient(found.loss, dx, dy, torch.zeros_like(problem.lrs))


def _index(n: int, g: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=g))


def _at_most(limit: Tensor, gradient: Tensor) -> Tensor:
    """``gradient``, shortened to the norm ``limit``; 0 where it is not finite."""
    norm = gradient.norm()
    shortened = (limit / norm).clamp(max=1.0) * gradient
    return torch.where(norm.isfinite() & (norm > 0), shortened, 0.0)
