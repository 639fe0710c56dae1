"""The learned tensors: synthetic samples, their labels and the step sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class LabelParametrisation(NamedTuple):
    """How labels depend on the free parameters that represent them."""

    labels: Callable[[Tensor], Tensor]  # free parameters -> labels
    free: Callable[[Tensor], Tensor]  # labels -> free parameters


CLASS_PROBABILITIES = LabelParametrisation(lambda free: free.softmax(-1), torch.log)
# In float32 the sigmoid of 17 is 1. Its logit is infinite, and no gradient could move it.
LABEL_PROBABILITIES = LabelParametrisation(torch.sigmoid, lambda y: torch.logit(y, eps=1e-6))
NUMBERS = LabelParametrisation(torch.clone, torch.clone)


class DistilledSet:
    """Synthetic mini-batches and step sizes, represented by free parameters.

    Step sizes are the ``softplus`` of a free parameter, so they stay positive. Labels that are
    learned as class probabilities are the ``softmax`` of free logits. Labels that are learned as
    the probabilities of a multilabel target are the ``sigmoid`` of free logits.

    Parameters
    ----------
    x : Tensor of shape (n_steps, batch, *sample_shape)
        The samples, one mini-batch for each step.
    y : Tensor of shape (n_steps, batch, n_outputs)
        Their labels: class probabilities, probabilities of labels, or any numbers. Probabilities
        that are learned must be positive.
    lrs : Tensor of shape (n_epochs, n_steps)
        Positive step sizes, one for each of the T = n_epochs · n_steps steps.
    parametrisation : LabelParametrisation or None
        How labels are learned: as probabilities or as numbers. ``None`` keeps them fixed.
    snap : callable or None
        The nearest samples that are allowed. Students learn from these, and the gradient passes
        through as if nothing had been changed (a straight-through estimator). ``None`` allows all.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        lrs: Tensor,
        *,
        parametrisation: LabelParametrisation | None = None,
        snap: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.parametrisation, self.snap = parametrisation, snap
        self.free_x = x.detach().clone().requires_grad_()
        free_y = y if parametrisation is None else parametrisation.free(y)
        self.free_y = free_y.detach().clone().requires_grad_(self.learns_labels)
        self.free_lrs = _inverse_softplus(lrs).detach().clone().requires_grad_()

    @property
    def learns_labels(self) -> bool:
        """Whether the labels are learned."""
        return self.parametrisation is not None

    @property
    def x(self) -> Tensor:
        """The samples, (n_steps, batch, *sample_shape)."""
        if self.snap is None:
            return self.free_x
        fixed = self.free_x.detach()
        return self.snap(fixed) + (self.free_x - fixed)  # the bracket is 0, and has the gradient

    @property
    def y(self) -> Tensor:
        """The labels, (n_steps, batch, n_outputs)."""
        return (
            self.free_y
            if self.parametrisation is None
            else self.parametrisation.labels(self.free_y)
        )

    @property
    def lrs(self) -> Tensor:
        """The step sizes, (n_epochs, n_steps)."""
        return F.softplus(self.free_lrs)

    @property
    def samples(self) -> list[Tensor]:
        """The free parameters of x and, if labels are learned, of y."""
        return [self.free_x, self.free_y] if self.learns_labels else [self.free_x]

    @property
    def free(self) -> list[Tensor]:
        """All free parameters, which the outer optimiser changes."""
        return [*self.samples, self.free_lrs]

    def pull_back(self, dx: Tensor, dy: Tensor, dlrs: Tensor) -> None:
        """Set ``grad`` of the free parameters from the gradients with respect to x, y and lrs."""
        outputs, gradients = [self.x, self.lrs], [dx, dlrs]
        if self.learns_labels:
            outputs, gradients = [*outputs, self.y], [*gradients, dy]
        for p, g in zip(self.free, torch.autograd.grad(outputs, self.free, gradients), strict=True):
            p.grad = g

    def to(self, device: torch.device) -> DistilledSet:
        """The same set on another device."""
        x, y, lrs = (t.to(device) for t in (self.x, self.y, self.lrs))
        return DistilledSet(x, y, lrs, parametrisation=self.parametrisation, snap=self.snap)

    @torch.no_grad()
    def scale_step_sizes(self, factor: float) -> None:
        """Multiply all step sizes."""
        self.free_lrs.copy_(_inverse_softplus(factor * self.lrs))

    def snapshot(self) -> list[Tensor]:
        """A copy of the free parameters."""
        return [p.detach().clone() for p in self.free]

    @torch.no_grad()
    def restore(self, snapshot: list[Tensor]) -> None:
        """Restore the free parameters from a snapshot."""
        for p, saved in zip(self.free, snapshot, strict=True):
            p.copy_(saved)


def _inverse_softplus(x: Tensor) -> Tensor:
    """log(exp(x) - 1), in a form that does not overflow."""
    return x + torch.log(-torch.expm1(-x))
