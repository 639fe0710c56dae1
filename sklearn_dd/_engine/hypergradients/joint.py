"""One distilled set for several students."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..losses import Objective
from ..model_fn import Several
from .problem import Hypergradient, Method, OuterProblem, State


class Joint(Method):
    """The mean of the losses of several students, each times its weight.

    Students that take long take part in a share of the iterations alone, and count for more there.

    Parameters
    ----------
    methods : sequence of Method
        The method for each student.
    objectives : sequence of callable
        The outer objective of each.
    """

    def __init__(self, methods: Sequence[Method], objectives: Sequence[Objective]) -> None:
        self.methods, self.objectives = tuple(methods), tuple(objectives)

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        """Whether a student has step sizes."""
        return any(method.learns_step_sizes for method in self.methods)

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the mean of the losses, and its gradient."""
        several = problem.student
        assert isinstance(several, Several)
        drawn = torch.rand(len(self.methods), generator=problem.generator).tolist()
        each = zip(self.methods, self.objectives, several.split(problem.params), drawn, strict=True)
        most = max(student.share for student in several.members)
        found = []
        for method, objective, (student, params), chance in each:
            share = student.share / most
            if chance >= share:
                found.append(problem.zeros())
                continue
            own = problem._replace(student=student, params=params, objective=objective)  # type: ignore[arg-type]
            found.append(Hypergradient(*(part / share for part in method(own))))
        parts = (torch.stack(several.weighted(part)).mean(0) for part in zip(*found, strict=True))
        return Hypergradient(*parts)

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
