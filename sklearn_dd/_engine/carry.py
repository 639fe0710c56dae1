"""What passes from one gradient step to the next, and the types of the inner loop.

A *carry* holds the parameters first, then the optimiser's state. A *cotangent* holds the derivative
of the outer loss with respect to each tensor of a carry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Params = dict[str, Tensor]
"""Parameters of one student, name -> shape; or of several, stacked, name -> (n_inits, *shape)."""

Carry = tuple[Params, ...]
"""Parameters, then the optimiser's state."""

Step = tuple[Tensor, Tensor, Tensor]
"""x (batch, *sample_shape), y (batch, n_outputs) and the step size () of one gradient step."""

InnerLoss = Callable[[Params, Tensor, Tensor], Tensor]
"""(params, x, y) -> the inner loss."""

Cotangent = list[Tensor]
"""One tensor for each tensor of a carry, in its order."""


class StepCotangents(NamedTuple):
    """A cotangent after it was pulled back through one step."""

    carry: Cotangent  # for the carry before the step
    x: Tensor | None  # for the mini-batch, its labels and the step size; None stands for 0
    y: Tensor | None
    lr: Tensor | None


PullBack = Callable[[Cotangent], StepCotangents]
"""The cotangent after a step -> before it. It may change its argument, and is called once."""


def as_leaves(params: Params) -> Params:
    """The same values, as tensors to differentiate with respect to."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def flat(carry: Carry) -> list[Tensor]:
    """All tensors of a carry."""
    return [tensor for part in carry for tensor in part.values()]


def like(carry: Carry, tensors: list[Tensor]) -> Carry:
    """The inverse of `flat`: the tensors under the names of ``carry``."""
    rest = iter(tensors)
    return tuple({name: next(rest) for name in part} for part in carry)
