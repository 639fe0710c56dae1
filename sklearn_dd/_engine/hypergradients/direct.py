"""The hypergradient of a model that takes no gradient steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..counterparts.counterpart import Counterpart, scaled
from .problem import Hypergradient, Method, OuterProblem, TargetKind


@dataclass(eq=False)
class Direct(Method):
    """The gradient through a counterpart, which says of new samples what a model says of them.

    It takes no student and no step sizes. The outputs for classes are judged at their best scale,
    so that a model counts by what it predicts and not by how certain it is.

    Parameters
    ----------
    counterpart : Counterpart
        The model, as a differentiable function of what it learns from.
    """

    counterpart: Counterpart

    learns_step_sizes = False
    targets = frozenset({TargetKind.MULTICLASS, TargetKind.CONTINUOUS})

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient, which is 0 for the step sizes."""
        x, y = (t.detach().requires_grad_() for t in (problem.x, problem.y))
        x_real, y_real = problem.real
        flat = x.flatten(0, 1).flatten(1), y.flatten(0, 1), x_real.flatten(1)
        with torch.enable_grad():
            outputs = self.counterpart(*flat, problem.generator)
            if y_real.ndim == 1:
                outputs = scaled(problem.objective, outputs, y_real)
            loss = problem.objective(outputs, y_real)
        dx, dy = torch.autograd.grad(loss, (x, y), materialize_grads=True)
        return Hypergradient(loss.detach(), dx, dy, torch.zeros_like(problem.lrs))
