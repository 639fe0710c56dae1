"""The inner loop: a student trains on the distilled set."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from torch import Tensor

from .carry import Carry, Step
from .student_fn import StudentFn


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
