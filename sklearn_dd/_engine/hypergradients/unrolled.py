"""The exact hypergradient: reverse mode through the unrolled training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from numbers import Integral

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ..carry import Carry, Cotangent, Params, PullBack, Step
from ..fast.span import Span, pays
from ..inner_loop import inner_steps, train
from ..student_fn import FirstLayer, StudentFn
from .outer_pass import outer_gradient
from .problem import Hypergradient, Method, OuterProblem


@dataclass(eq=False)
class Unrolled(Method):
    """Reverse mode through the T steps of training: exact, or through a random window of them.

    The forward pass records the steps from first to last. The backward pass pulls a cotangent, the
    derivative of the outer loss with respect to what one step hands to the next, back from the last
    step to the first. The graphs of all steps are kept if they fit into ``memory``. Otherwise only
    those of the last steps are kept. The forward pass then saves θ at the start of each segment of
    the earlier steps, and the backward pass records one segment at a time again. With no memory for
    graphs, about √T copies of θ and √T graphs are held. The gradient is the same.

    Parameters
    ----------
    window : int or None, default=None
        Train for a random number of steps, from ``window`` to T, and differentiate through the last
        ``window`` of them only. ``None`` differentiates through all T.
    memory : int, default=2**30
        Bytes that graphs may take to save time.
    micro_batch : int or None, default=None
        Largest number of real samples in one slice of the outer pass, whose graph then stays small.
        The objective must be a mean over samples. ``None`` takes the real batch at once.
    segment : int or None, default=None
        Steps that are recorded at a time, in place of a choice by ``memory``.
    outer_dtype : torch.bfloat16, torch.float16 or None, default=None
        Data type of ``torch.autocast`` in the outer pass. Gradients are not scaled, so those of
        float16 may vanish. ``None`` computes in the dtype of the samples.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959. Segments: Chen,
    Xu, Zhang and Guestrin (2016), Training deep nets with sublinear memory cost, arXiv:1604.06174.
    Windows: Feng, Vedantam and Kempe (2023), Embarrassingly simple dataset distillation,
    arXiv:2311.07025.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, Unrolled
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(method=Unrolled(window=5), max_iter=20, random_state=0)
    >>> distiller.fit(X, y).lrs_.shape
    (10, 1)
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
            if value is not None and (not isinstance(value, Integral) or value < 1):
                raise ValueError(f"{name} must be an int of at least 1, or None, got {value!r}.")
        if self.outer_dtype not in (None, torch.bfloat16, torch.float16):
            raise ValueError(
                f"outer_dtype must be torch.bfloat16, torch.float16 or None, got "
                f"{self.outer_dtype!r}."
            )
        self._graph_bytes: dict[object, int] = {}  # measured once for each kind of step

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient."""
        steps = inner_steps(problem.x, problem.y, problem.lrs)
        first = 0
        if self.window is not None and self.window < len(steps):
            n_before = len(steps) - self.window
            first = int(torch.randint(n_before + 1, (), generator=problem.generator))
            steps = steps[: first + self.window]
        total = problem.zeros()
        student = problem.student
        groups = student.groups(problem.params)
        layer = self._layer_of_span(problem, len(groups), len(steps) - first)
        for group in groups:
            carry = train(student, student.optimizer.start(group), steps[:first])
            if layer is None:
                self._add(total, problem, carry, steps, first)
            else:
                self._add_in_span(total, problem, layer, carry[0], steps, first)
        return Hypergradient(*(part / len(groups) for part in total))

    def _layer_of_span(
        self, problem: OuterProblem, n_groups: int, n_taken: int
    ) -> FirstLayer | None:
        """The first layer, where students go one by one and training in the span pays."""
        layer = problem.student.first
        # Half precision would round K, whose entries are sums over all values of a sample.
        if layer is None or self.outer_dtype is not None:
            return None
        n_inits, n_units, _ = problem.params[layer.weight].shape
        return layer if n_groups == n_inits and pays(problem.x, n_units, n_taken) else None

    def _add_in_span(
        self,
        total: Hypergradient,
        problem: OuterProblem,
        layer: FirstLayer,
        params: Params,  # before step ``first``
        steps: list[Step],
        first: int,
    ) -> None:
        """Add loss and gradients of one student, which trains in the span of the samples."""
        span = Span(layer, params, problem.x)
        x_real, y_real = span.real(problem.real[0]), problem.real[1]
        own, d_real = total._replace(x=torch.zeros_like(span.x)), torch.zeros_like(x_real)
        steps = [(span.x[t % len(span.x)], *step[1:]) for t, step in enumerate(steps)]
        inner = problem._replace(student=span.student, x=span.x, real=(x_real, y_real))
        self._add(own, inner, span.carry, steps, first, d_real)
        total.x.add_(span.pull_back(own.x, d_real))

    def _add(
        self,
        total: Hypergradient,
        problem: OuterProblem,
        carry: Carry,  # before step ``first``
        steps: list[Step],
        first: int,
        d_real: Tensor | None = None,
    ) -> None:
        """Add loss and gradients of one group of students; ``d_real`` is of the real samples."""
        student = problem.student
        size, n_kept = self._plan(student, carry, steps[first:])
        kept = max(first, len(steps) - n_kept)
        segments = [*pairwise([*range(first, kept, size), kept, len(steps)])]
        checkpoints = []
        for start, end in segments[:-1]:
            checkpoints.append(carry)
            carry = train(student, carry, steps[start:end])
        carry, tape = record(student, carry, steps[kept:])
        loss, slope = outer_gradient(
            student, carry[0], problem.objective, *problem.real,
            micro_batch=self.micro_batch, dtype=self.outer_dtype, dx=d_real,
        )  # fmt: skip
        total.loss.add_(loss)
        state = [torch.zeros_like(p) for part in carry[1:] for p in part.values()]
        cotangent = pull_back([*slope, *state], tape, kept, total)
        for start, end in reversed(segments[:-1]):
            _, tape = record(student, checkpoints.pop(), steps[start:end])
            cotangent = pull_back(cotangent, tape, start, total)

    def _plan(self, student: StudentFn, carry: Carry, steps: Sequence[Step]) -> tuple[int, int]:
        """Steps to record at a time, and steps at the end whose graphs are kept."""
        if self.segment is not None:
            return self.segment, self.segment
        key = steps[0][0].shape, *((name, p.shape) for part in carry for name, p in part.items())
        if key not in self._graph_bytes:
            self._graph_bytes[key] = graph_bytes(student, carry, steps[0])
        graph = self._graph_bytes[key]
        checkpoint = sum(p.nbytes for part in carry for p in part.values())
        # The size S for which len(steps) / S checkpoints and S graphs take the least memory.
        size = max(1, round(math.sqrt(len(steps) * checkpoint / graph)))
        return size, self.memory // graph


def record(student: StudentFn, carry: Carry, steps: Sequence[Step]) -> tuple[Carry, list[PullBack]]:
    """Train, and keep the pull-back of each step."""
    tape = []
    for step in steps:
        carry, back = student.record(carry, step)
        tape.append(back)
    return carry, tape


def pull_back(
    cotangent: Cotangent, tape: list[PullBack], start: int, total: Hypergradient
) -> Cotangent:
    """Pull back through the steps from ``start``, using up the tape; add what x̃, ỹ and η get."""
    dlrs = total.lrs.view(-1)
    for t in reversed(range(start, start + len(tape))):
        cotangent, dx, dy, dlr = tape.pop()(cotangent)
        k = t % len(total.x)
        for sink, part in ((total.x[k], dx), (total.y[k], dy), (dlrs[t], dlr)):
            if part is not None:
                sink.add_(part)
    return cotangent


def graph_bytes(student: StudentFn, carry: Carry, step: Step) -> int:
    """Bytes that the graph of one step holds."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        student.optimizer.record(student.inner_loss, carry, step)
    return sum(held.values())
