"""Weight initialisers, for ``init=``: functions that change a module in place."""

from __future__ import annotations

from torch import nn

from ._engine import ConvNd


def xavier_normal(module: nn.Module) -> None:
    """Draw weights of variance 2 / (fan_in + fan_out), zero biases (Glorot and Bengio 2010)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | ConvNd):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pytorch_default(module: nn.Module) -> None:
    """Draw what PyTorch's layers draw when they are built (He et al. 2015, uniform)."""
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset()
