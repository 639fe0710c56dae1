"""One distilled set for several students."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model_fn import Several
from .problem import Hypergradient, Method, OuterProblem, State, TargetKind

_LEAST = 1e-3  # a lower loss counts as this one


class Joint(Method):
    """The geometric mean of the losses of several students.

    A loss that falls by a tenth counts the same for each student, whatever its loss is. So nobody
    has to find weights, and no student with a large loss is served at the cost of the others.

    Parameters
    ----------
    methods : sequence of Method
        The method for each student.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = tuple(methods)

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        """Whether a student has step sizes."""
        return any(method.learns_step_sizes for method in self.methods)

    @property
    def targets(self) -> frozenset[TargetKind]:  # type: ignore[override]
        """What all methods take."""
        return frozenset.intersection(*(method.targets for method in self.methods))

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the geometric mean of the losses, and its gradient."""
        several = problem.student
        assert isinstance(several, Several)
        found = [
            method(problem._replace(student=student, params=params))
            for method, (student, params) in zip(
                self.methods, several.split(problem.params), strict=True
            )
        ]
        losses = torch.stack([each.loss for each in found]).clamp(min=_LEAST)
        mean = losses.log().mean().exp()
        shares = mean / losses / len(found)
        parts = zip(*found, strict=True)
        _, *gradients = [sum(s * g for s, g in zip(shares, part, strict=True)) for part in parts]
        return Hypergradient(mean, *gradients)

    def state_dict(self) -> State:
        """What the methods carry from one outer iteration to the next."""
        return {
            f"{k}.{name}": value
            for k, method in enumerate(self.methods)
            for name, value in method.state_dict().items()
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        for k, method in enumerate(self.methods):
            prefix = f"{k}."
            own: dict[str, Tensor] = {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
            method.load_state_dict(own)
