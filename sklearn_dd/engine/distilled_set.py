"""The learned tensors: synthetic samples, their labels and the step sizes to train with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Link(NamedTuple):
    """Between free parameters and labels."""

    labels: Callable[[Tensor], Tensor]
    free: Callable[[Tensor], Tensor]


PROBABILITIES = Link(lambda free: free.softmax(-1), torch.log)
# In float32 the sigmoid of 17 is 1, which would come back as infinity and never move again.
EACH_PROBABILITY = Link(torch.sigmoid, lambda y: torch.logit(y, eps=1e-6))
NUMBERS = Link(torch.clone, torch.clone)


class DistilledSet:
    """Synthetic mini-batches and step sizes, held in the coordinates in which they are learned.

    Step sizes are ``softplus`` of a free parameter and so stay positive; class labels that are
    learned as probabilities are the ``softmax`` of free logits and so stay that; several labels
    of one sample are each the ``sigmoid`` of one.

    Parameters
    ----------
    x : Tensor of shape (n_steps, batch, *sample_shape)
        The samples, one mini-batch for each step.
    y : Tensor of shape (n_steps, batch, n_outputs)
        Their labels: class probabilities, all positive where they are learned as such, or numbers.
    lrs : Tensor of shape (n_epochs, n_steps)
        Positive step sizes, one for each of the T = n_epochs · n_steps steps.
    link : Link or None
        How the labels are learned: as probabilities, or as the numbers that they are. ``None``
        holds them still.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        lrs: Tensor,
        *,
        link: Link | None = None,
    ) -> None:
        self.link = link
        self.free_x = x.detach().clone().requires_grad_()
        free_y = y if link is None else link.free(y)
        self.free_y = free_y.detach().clone().requires_grad_(self.learn_labels)
        # The inverse of softplus, in a form that does not overflow.
        self.free_lrs = (lrs + torch.log(-torch.expm1(-lrs))).detach().clone().requires_grad_()

    @property
    def learn_labels(self) -> bool:
        """Whether the labels move."""
        return self.link is not None

    @property
    def x(self) -> Tensor:
        """The samples, (n_steps, batch, *sample_shape)."""
        return self.free_x

    @property
    def y(self) -> Tensor:
        """The labels, (n_steps, batch, n_outputs)."""
        return self.free_y if self.link is None else self.link.labels(self.free_y)

    @property
    def lrs(self) -> Tensor:
        """The step sizes, (n_epochs, n_steps)."""
        return F.softplus(self.free_lrs)

    @property
    def samples(self) -> list[Tensor]:
        """The free parameters behind x and, where it is learned, y."""
        return [self.free_x, self.free_y] if self.learn_labels else [self.free_x]

    @property
    def free(self) -> list[Tensor]:
        """All free parameters: the coordinates in which the outer optimiser moves."""
        return [*self.samples, self.free_lrs]

    def pull_back(self, dx: Tensor, dy: Tensor, dlrs: Tensor) -> None:
        """Set the ``grad`` of the free parameters from gradients for x, y and lrs."""
        outputs, gradients = [self.x, self.lrs], [dx, dlrs]
        if self.learn_labels:
            outputs, gradients = [*outputs, self.y], [*gradients, dy]
        for p, g in zip(self.free, torch.autograd.grad(outputs, self.free, gradients), strict=True):
            p.grad = g

    def to(self, device: torch.device) -> DistilledSet:
        """The same set on another device."""
        x, y, lrs = (t.to(device) for t in (self.x, self.y, self.lrs))
        return DistilledSet(x, y, lrs, link=self.link)

    def snapshot(self) -> list[Tensor]:
        """A copy of the free parameters."""
        return [p.detach().clone() for p in self.free]

    @torch.no_grad()
    def restore(self, snapshot: list[Tensor]) -> None:
        """Go back to a snapshot."""
        for p, saved in zip(self.free, snapshot, strict=True):
            p.copy_(saved)
