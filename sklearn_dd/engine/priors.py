"""Weight priors p(θ_0): where a student starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from .optimizers import Params
from .seeds import Drawing, generator

Weights = dict[str, Tensor]
"""The parameters of one net: name -> shape."""

Prior = Callable[[torch.Generator], Weights]


def random(build: Callable[[], nn.Module]) -> Prior:
    """What building the module draws."""

    def prior(g: torch.Generator) -> Weights:
        with Drawing(g):
            return {name: p.detach() for name, p in build().named_parameters()}

    return prior


def fixed(weights: Weights) -> Prior:
    """One known net."""
    return lambda _: weights


def pool(members: Sequence[Weights]) -> Prior:
    """One of several known nets, each as likely."""
    return lambda g: members[int(torch.randint(len(members), (), generator=g))]


def xavier_normal(module: nn.Module) -> None:
    """Draw weights of variance 2 / (fan_in + fan_out), zero biases (Glorot and Bengio 2010)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pytorch_default(module: nn.Module) -> None:
    """Draw what PyTorch's layers draw when they are built (He et al. 2015, uniform)."""
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset()


def draw(
    prior: Prior, which: Iterable[int], *keys: int, device: torch.device | None = None
) -> Params:
    """Stacked parameters of some nets, of which net i depends on ``keys`` and i alone."""
    nets = [prior(generator(*keys, i)) for i in which]
    return {name: torch.stack([net[name] for net in nets]).to(device) for name in nets[0]}
