"""The outer objective as users name it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from .._data import Multiclass, Targets
from .._engine import Objective


@runtime_checkable
class ResolvableObjective(Protocol):
    """An objective that names classes as the user does, such as `TargetedAttack`."""

    def resolve(self, classes: Any, /) -> Objective:
        """The objective on indices into ``classes``."""
        ...


def check_objective(objective: Any, targets: Targets) -> Objective | None:
    """The objective that the user named; None for the default of ``targets``."""
    if isinstance(objective, str):
        return None
    if isinstance(objective, type):
        raise ValueError(
            f"objective={objective!r} must be an object, not its class: write "
            f"{objective.__name__}(...)."
        )
    if not isinstance(objective, ResolvableObjective):
        return _Checked(objective)
    if not isinstance(targets, Multiclass):
        raise ValueError(
            f"objective={objective!r} takes a multiclass y, but y is {targets.kind.name.lower()}. "
            "Use a function of logits and y, or leave objective at its default."
        )
    return objective.resolve(targets.values)


class _Checked:
    """An objective that raises if it returns what cannot be differentiated."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value = self.objective(outputs, y)
        is_scalar = isinstance(value, torch.Tensor) and value.ndim == 0
        if not is_scalar or (outputs.requires_grad and not value.requires_grad):
            shape = getattr(value, "shape", ())
            given = f"one of shape {tuple(shape)}" if len(shape) else repr(value)
            raise ValueError(
                f"objective={self.objective!r} must return a scalar tensor that has a gradient, "
                f"got {given}. Use a mean of something smooth, such as a cross-entropy."
            )
        return value
