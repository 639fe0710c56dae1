"""One distilled set for several students."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..losses import Objective
from ..model_fn import Several
from .problem import Hypergradient, Method, OuterProblem, State

_LEAST = 1e-3  # a lower loss counts as this one


class Joint(Method):
    """The geometric mean of the losses of several students.

    A loss that falls by a tenth counts the same for each student, whatever its loss is. So nobody
    has to find weights, and no student with a large loss is served at the cost of the others.
    Where several processes share the work, each takes the mean of its own students.

    Parameters
    ----------
    methods : sequence of Method
        The method for each student.
    objectives : sequence of callable
        The outer objective of each.
    is_positive : bool, default=True
        Whether objectives are positive. Of others, the arithmetic mean is taken.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        objectives: Sequence[Objective],
        *,
        is_positive: bool = True,
    ) -> None:
        self.methods, self.objectives = tuple(methods), tuple(objectives)
        self.is_positive = is_positive

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        """Whether a student has step sizes."""
        return any(method.learns_step_sizes for method in self.methods)

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the mean of the losses, and its gradient."""
        several = problem.student
        assert isinstance(several, Several)
        each = zip(self.methods, self.objectives, several.split(problem.params), strict=True)
        found = [
            method(problem._replace(student=student, params=params, objective=objective))  # type: ignore[arg-type]
            for method, objective, (student, params) in each
        ]
        losses = torch.stack([each.loss for each in found])
        mean, shares = losses.mean(), torch.full_like(losses, 1 / len(losses))
        if self.is_positive:
            losses = losses.clamp(min=_LEAST)
            mean = losses.log().mean().exp()
            shares = mean / losses / len(losses)
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
