"""The inner loop: a student trains on the distilled set."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from .carry import Carry, Params, Step
from .fast.span import Span, pays
from .student_fn import StudentFn, unstacked


def inner_steps(
    x: Tensor,  # (n_steps, batch, *sample_shape)
    y: Tensor,  # (n_steps, batch, n_outputs)
    lrs: Tensor,  # (n_epochs, n_steps)
) -> list[Step]:
    """The T = n_epochs · n_steps steps of a schedule; each epoch goes through all mini-batches."""
    epochs = [zip(x.detach(), y.detach(), epoch, strict=True) for epoch in lrs.detach()]
    return [step for epoch in epochs for step in epoch]


def unroll(student: StudentFn, carry: Carry, steps: Iterable[Step]) -> Iterator[Carry]:
    """Yield the carry before the first step and after each, without a graph.

    The next step may overwrite what was yielded.
    """
    carry = tuple({name: p.clone() for name, p in part.items()} for part in carry)
    yield carry
    for step in steps:
        carry = student.step(carry, step)
        yield carry


def train(student: StudentFn, carry: Carry, steps: Iterable[Step]) -> Carry:
    """The carry after the last step."""
    return deque(unroll(student, carry, steps), maxlen=1).pop()


def train_students(student: StudentFn, group: Params, x: Tensor, y: Tensor, lrs: Tensor) -> Params:
    """The parameters of a group of students after the whole schedule.

    Where it pays, they train in the span of the samples, one by one. A GPU is faster with all at
    once.
    """
    first = student.first
    is_stack = first is not None and group[first.weight].ndim > 2
    if (
        first is None
        or not pays(x, group[first.weight].shape[-2], lrs.numel())
        or (is_stack and x.device.type != "cpu")
    ):
        return train(student, student.optimizer.start(group), inner_steps(x, y, lrs))[0]

    def in_span(params: Params) -> Params:
        span = Span(first, params, x)
        return span.parameters(*train(span.student, span.carry, inner_steps(span.x, y, lrs)))

    if not is_stack:
        return in_span(group)
    trained = [in_span(single) for single in unstacked(group)]
    return {name: torch.stack([params[name] for params in trained]) for name in group}
