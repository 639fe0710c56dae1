"""One distilled set for several students."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..model_fn import Several
from .problem import Hypergradient, Method, OuterProblem, State, TargetKind


class Joint(Method):
    """The weighted sum of the hypergradients for several students.

    Parameters
    ----------
    methods : sequence of Method
        The method for each student.
    weights : sequence of float
        What its loss is multiplied by.
    """

    def __init__(self, methods: Sequence[Method], weights: Sequence[float]) -> None:
        self.methods, self.weights = tuple(methods), tuple(weights)

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        """Whether a student has step sizes."""
        return any(method.learns_step_sizes for method in self.methods)

    @property
    def targets(self) -> frozenset[TargetKind]:  # type: ignore[override]
        """What all methods take."""
        return frozenset.intersection(*(method.targets for method in self.methods))

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the sum of the losses and of their gradients."""
        several = problem.student
        assert isinstance(several, Several)
        total = problem.zeros()
        for method, weight, (student, params) in zip(
            self.methods, self.weights, several.split(problem.params), strict=True
        ):
            found = method(problem._replace(student=student, params=params))
            total = Hypergradient(*(a + weight * b for a, b in zip(total, found, strict=True)))
        return total

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
