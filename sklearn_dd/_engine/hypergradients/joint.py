"""One distilled set for several students."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..priors import Prior, draw
from ..student_fn import StudentFn
from .problem import Hypergradient, Method, OuterProblem, State, TargetKind


@dataclass(frozen=True)
class Part:
    """One of several students.

    Parameters
    ----------
    method : Method
        How its hypergradient is computed.
    weight : float
        What its loss is multiplied by.
    student : StudentFn or None
        The student; None for the loop's own, and for a model that takes no gradient steps.
    prior : callable or None
        Where this student starts.
    """

    method: Method
    weight: float = 1.0
    student: StudentFn | None = None
    prior: Prior | None = None

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """The hypergradient for this student alone."""
        if self.student is not None and self.prior is not None:
            seed = int(torch.randint(2**31, (), generator=problem.generator))
            params = draw(self.prior, range(1), seed, device=problem.x.device)
            problem = problem._replace(student=self.student, params=params)
        return self.method(problem)


class Joint(Method):
    """The weighted sum of the hypergradients for several students.

    Parameters
    ----------
    parts : sequence of Part
        The students.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        """Whether a student has step sizes."""
        return any(part.method.learns_step_sizes for part in self.parts)

    @property
    def targets(self) -> frozenset[TargetKind]:  # type: ignore[override]
        """What all of them take."""
        return frozenset.intersection(*(part.method.targets for part in self.parts))

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the sum of the losses and of their gradients."""
        total = problem.zeros()
        for part in self.parts:
            found = part(problem)
            total = Hypergradient(*(a + part.weight * b for a, b in zip(total, found, strict=True)))
        return total

    def state_dict(self) -> State:
        """What the methods carry from one outer iteration to the next."""
        return {
            f"{k}.{name}": value
            for k, part in enumerate(self.parts)
            for name, value in part.method.state_dict().items()
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        for k, part in enumerate(self.parts):
            prefix = f"{k}."
            own: dict[str, Tensor] = {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
            part.method.load_state_dict(own)
