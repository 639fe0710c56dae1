"""The hypergradient of a model that takes no gradient steps."""

from __future__ import annotations

import torch

from ..counterparts import scaled
from ..model_fn import ModelFn
from .problem import Hypergradient, Method, OuterProblem, TargetKind


class Direct(Method):
    """The gradient through a model's counterpart.

    There are no step sizes. Outputs for classes are judged at their best scale, so that a model
    counts by what it predicts and not by how certain it is.
    """

    learns_step_sizes = False
    targets = frozenset({TargetKind.MULTICLASS, TargetKind.CONTINUOUS})

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient, which is 0 for the step sizes."""
        model, (x_real, y_real) = problem.student, problem.real
        assert isinstance(model, ModelFn)
        x, y = (t.detach().requires_grad_() for t in (problem.x, problem.y))
        losses = []
        with torch.enable_grad():
            for params in model.groups(problem.params):
                outputs = model.apply(model.learn(params, x, y), x_real)
                if y_real.ndim == 1:
                    outputs = scaled(problem.objective, outputs, y_real)
                losses.append(problem.objective(outputs, y_real))
            loss = torch.stack(losses).mean()
        if not loss.requires_grad:  # nothing that a sample moves, such as trees without a split
            dx, dy = torch.zeros_like(x), torch.zeros_like(y)
        else:
            dx, dy = torch.autograd.grad(loss, (x, y), materialize_grads=True)
        return Hypergradient(loss.detach(), dx, dy, torch.zeros_like(problem.lrs))
