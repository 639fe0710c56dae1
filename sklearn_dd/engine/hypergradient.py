"""Hypergradients: how the outer loss after training changes with the distilled set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from .inner_loop import Learner, schedule, train
from .objectives import Objective, mean_over_nets
from .optimizers import Carry, Cotangent, Params, PullBack, Step, as_leaves
from .traced import untraced


class Hypergradient(NamedTuple):
    """The outer loss, mean over the initialisations, and its gradients."""

    loss: Tensor  # ()
    x: Tensor  # (n_steps, batch, *sample_shape)
    y: Tensor  # (n_steps, batch, n_classes)
    lrs: Tensor  # (n_epochs, n_steps)


class Task(NamedTuple):
    """What one differentiates: training on a distilled set, judged on a real batch."""

    learner: Learner
    nets: Params  # stacked, where training starts
    x: Tensor  # (n_steps, batch, *sample_shape)
    y: Tensor  # (n_steps, batch, n_classes)
    lrs: Tensor  # (n_epochs, n_steps)
    objective: Objective
    real: tuple[Tensor, Tensor]  # (n, *sample_shape), (n,)
    generator: torch.Generator  # of an estimator's own draws

    def no_gradient(self) -> Hypergradient:
        """A loss of 0 and gradients of 0."""
        sinks = (self.lrs.sum(), self.x, self.y, self.lrs)
        return Hypergradient(*(torch.zeros_like(t) for t in sinks))


class Estimator(Protocol):
    """How one differentiates through training: an object, so that methods can be swapped."""

    def __call__(self, task: Task, /) -> Hypergradient: ...


@dataclass(eq=False)
class Unrolled:
    """Reverse mode through the T steps of training: exact, or through a random window of them.

    The steps are recorded from the first to the last, and a cotangent, the derivative of the outer
    loss for what passes from one step to the next, is pulled back from the last to the first. Where
    the graphs of all steps fit into ``memory`` they are kept. Else those of the last steps are. Of
    the earlier ones the forward pass keeps no graph, but θ at the start of each segment, and the
    backward pass records one segment at a time anew: with no memory for graphs, about √T copies of
    θ and √T graphs are held. The gradient is the same.

    Parameters
    ----------
    window : int or None
        Train for a random number of steps, from ``window`` to T, and differentiate through the last
        ``window`` of them only (Feng, Vedantam and Kempe 2023, RaT-BPTT). ``None`` differentiates
        through all T.
    memory : int
        Bytes that graphs may take to save time.
    micro_batch : int or None
        The outer pass goes over equal slices of at most so many real samples, so that its graph
        stays small.
        The objective must then be a mean over samples. ``None`` takes the real batch at once.
    segment : int or None
        Steps that are recorded at one time, in place of a choice by ``memory``.
    outer_dtype : torch.bfloat16, torch.float16 or None
        What ``torch.autocast`` computes the network's products of the outer pass in. Gradients are
        not scaled, so that those of float16 may vanish. ``None`` computes in the samples' dtype.
    """

    window: int | None = None
    _: KW_ONLY
    memory: int = 1 << 30
    micro_batch: int | None = None
    segment: int | None = None
    outer_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        for name in ("window", "micro_batch", "segment"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None, got {value!r}.")
        if self.outer_dtype not in (None, torch.bfloat16, torch.float16):
            raise ValueError(
                f"outer_dtype must be torch.bfloat16, torch.float16 or None, got "
                f"{self.outer_dtype!r}."
            )
        self._graphs: dict[object, int] = {}  # what was measured once

    def __call__(self, task: Task) -> Hypergradient:
        steps = schedule(task.x, task.y, task.lrs)
        first = 0
        if self.window is not None and self.window < len(steps):
            n_warm = len(steps) - self.window
            first = int(torch.randint(n_warm + 1, (), generator=task.generator))
            steps = steps[: first + self.window]
        total = task.no_gradient()
        groups = task.learner.groups(task.nets)
        for group in groups:
            carry = train(task.learner, task.learner.optimizer.start(group), steps[:first])
            self._add(total, task, carry, steps, first)
        return Hypergradient(*(part / len(groups) for part in total))

    def _add(
        self, total: Hypergradient, task: Task, carry: Carry, steps: list[Step], first: int
    ) -> None:
        """Add loss and gradients of one group of nets, which stand before step ``first``."""
        learner = task.learner
        size, n_kept = self._plan(learner, carry, steps[first:])
        kept = max(first, len(steps) - n_kept)
        segments = [*pairwise([*range(first, kept, size), kept, len(steps)])]
        checkpoints = []
        for start, end in segments[:-1]:
            checkpoints.append(carry)
            carry = train(learner, carry, steps[start:end])
        carry, tape = record(learner, carry, steps[kept:])
        loss, slope = outer_gradient(
            learner, carry[0], task.objective, *task.real,
            micro_batch=self.micro_batch, dtype=self.outer_dtype,
        )  # fmt: skip
        total.loss.add_(loss)
        state = [torch.zeros_like(p) for part in carry[1:] for p in part.values()]
        cotangent = pull_back([*slope, *state], tape, kept, total)
        for start, end in reversed(segments[:-1]):
            _, tape = record(learner, checkpoints.pop(), steps[start:end])
            cotangent = pull_back(cotangent, tape, start, total)

    def _plan(self, learner: Learner, carry: Carry, steps: Sequence[Step]) -> tuple[int, int]:
        """How many steps to record at one time, and how many at the end, beside the outer pass."""
        if self.segment is not None:
            return self.segment, self.segment
        key = steps[0][0].shape, *((name, p.shape) for part in carry for name, p in part.items())
        if key not in self._graphs:
            self._graphs[key] = graph_bytes(learner, carry, steps[0])
        graph = self._graphs[key]
        checkpoint = sum(p.nbytes for part in carry for p in part.values())
        # The S for which len(steps) / S checkpoints and S graphs need the least.
        size = max(1, round(math.sqrt(len(steps) * checkpoint / graph)))
        return size, self.memory // graph


def record(learner: Learner, carry: Carry, steps: Sequence[Step]) -> tuple[Carry, list[PullBack]]:
    """Train, and keep how a cotangent goes back through each step."""
    tape = []
    for step in steps:
        carry, pull_back = learner.optimizer.record(learner.objective, carry, step)
        tape.append(pull_back)
    return carry, tape


def pull_back(
    cotangent: Cotangent, tape: list[PullBack], start: int, total: Hypergradient
) -> Cotangent:
    """Use up the tape of the steps from ``start``, and add what falls to x̃, ỹ and η."""
    dlrs = total.lrs.view(-1)
    for t in reversed(range(start, start + len(tape))):
        cotangent, dx, dy, dlr = tape.pop()(cotangent)
        k = t % len(total.x)
        for sink, part in ((total.x[k], dx), (total.y[k], dy), (dlrs[t], dlr)):
            if part is not None:
                sink.add_(part)
    return cotangent


def graph_bytes(learner: Learner, carry: Carry, step: Step) -> int:
    """Bytes that the graph of one step holds."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        untraced(learner.optimizer).record(learner.objective, carry, step)
    return sum(held.values())


def outer_gradient(
    learner: Learner,
    params: Params,
    objective: Objective,
    x: Tensor,  # (n, *sample_shape)
    y: Tensor,  # (n,)
    *,
    micro_batch: int | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The outer loss at θ_T, mean over stacked nets, and its gradient for θ_T."""
    leaves = as_leaves(params)
    total = x.new_zeros(())
    gradient = [torch.zeros_like(p) for p in leaves.values()]
    n_parts = math.ceil(len(x) / (micro_batch or len(x)))
    for x_part, y_part in zip(x.tensor_split(n_parts), y.tensor_split(n_parts), strict=True):
        with torch.enable_grad():
            with torch.autocast(x.device.type, dtype, enabled=dtype is not None):
                outputs = learner.apply(leaves, x_part)
            loss = mean_over_nets(objective, outputs.to(x.dtype), y_part)
        share = len(x_part) / len(x)
        part = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        for g, d in zip(gradient, part, strict=True):
            g.add_(d, alpha=share)
        total += share * loss.detach()
    return total, gradient
