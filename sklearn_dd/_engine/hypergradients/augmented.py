"""Siamese augmentation: real and distilled images under one random transformation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .problem import Hypergradient, Method, OuterProblem, Wrapper

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""(images (n, channels, height, width), generator) -> transformed images, of the same shape."""


@dataclass(eq=False)
class Augmented(Wrapper):
    """A method that sees real and distilled images under one random transformation.

    The gradient for x̃ is pulled back through the transformation.

    Parameters
    ----------
    method : Method
        What differentiates with respect to the transformed images.
    augment : callable
        Draws a transformation and applies it to all images alike.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation (DSA),
    arXiv:2102.08259.
    """

    method: Method
    augment: Augment

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient."""
        seed = int(torch.randint(1 << 62, (), generator=problem.generator))
        x = problem.x.detach().requires_grad_()
        with torch.enable_grad():
            seen = torch.stack([self._transform(batch, seed) for batch in x])
        real = self._transform(problem.real[0], seed), problem.real[1]
        estimate = self.method(problem._replace(x=seen.detach(), real=real))
        return estimate._replace(x=torch.autograd.grad(seen, x, estimate.x)[0])

    def _transform(self, images: Tensor, seed: int) -> Tensor:
        return self.augment(images, torch.Generator().manual_seed(seed))
