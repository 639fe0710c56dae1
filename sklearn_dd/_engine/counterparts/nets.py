"""Multilayer perceptrons, by a few steps of gradient descent from random weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

ACTIVATIONS = {
    "relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid, "identity": torch.clone,
}  # fmt: skip


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron after a few large steps, which stand for many small ones.

    Parameters
    ----------
    widths : tuple of int
        Units of the hidden layers.
    activation : {"relu", "tanh", "logistic", "identity"}
        What follows each of them.
    classifies : bool
        Whether the loss is the cross-entropy, or the squared error.
    n_steps, lr : int, float
        The steps, each on all samples, and their size.
    """

    widths: tuple[int, ...] = (100,)
    activation: str = "relu"
    classifies: bool = True
    n_steps: int = 10
    lr: float = 0.3

    is_random: ClassVar[bool] = True
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The outputs of a net that has learned from x and y."""
        loss = F.cross_entropy if self.classifies else F.mse_loss
        layers = self._start(x, y.shape[1], generator)
        with torch.enable_grad():
            # A squared error has no bound on its slopes: large inputs would make it diverge.
            size = 1.0 if self.classifies else 1 + x.square().sum(1).mean() / 10
            for _ in range(self.n_steps):
                value = loss(self._outputs(layers, x), y)
                slopes = torch.autograd.grad(value, layers, create_graph=True)
                layers = [w - self.lr / size * g for w, g in zip(layers, slopes, strict=True)]
        return self._outputs(layers, new)

    def _start(self, x: Tensor, n_outputs: int, g: torch.Generator) -> list[Tensor]:
        """Random weights, and biases of 0."""
        sizes, layers = [x.shape[1], *self.widths, n_outputs], []
        for n_in, n_out in itertools.pairwise(sizes):
            w = torch.randn(n_in, n_out, generator=g) * math.sqrt(2 / (n_in + n_out))
            layers += [w.to(x).requires_grad_(), x.new_zeros(n_out).requires_grad_()]
        return layers

    def _outputs(self, layers: list[Tensor], x: Tensor) -> Tensor:
        for k in range(0, len(layers), 2):
            x = x @ layers[k] + layers[k + 1]
            x = x if k == len(layers) - 2 else ACTIVATIONS[self.activation](x)
        return x
