"""Weight priors p(θ_0): where a student starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Pool:
    """One of several known nets, each as likely, or the one that is known."""

    members: Sequence[Weights]

    def __call__(self, g: torch.Generator) -> Weights:
        """Draw one of them."""
        return self.members[int(torch.randint(len(self.members), (), generator=g))]


def distinct(prior: Prior, n: int) -> range:
    """Which nets to draw, so that of ``n`` none comes twice."""
    return range(min(n, len(prior.members)) if isinstance(prior, Pool) else n)


def known_net(prior: Prior) -> Weights | None:
    """The net that the prior always gives, where it is a pool of one."""
    return prior.members[0] if isinstance(prior, Pool) and len(prior.members) == 1 else None


def hold_out_nets(prior: Prior, fraction: float, g: torch.Generator) -> tuple[Prior, Prior]:
    """A pool as two, the nets to learn from and a fraction to validate with; another prior twice.

    Samples that are learned for some nets can suit them far better than others.
    """
    if not isinstance(prior, Pool):
        return prior, prior
    n_held_out = int(fraction * len(prior.members))
    if n_held_out == 0:
        return prior, prior
    order = torch.randperm(len(prior.members), generator=g).tolist()
    members = [prior.members[i] for i in order]
    return Pool(members[n_held_out:]), Pool(members[:n_held_out])


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
    """Stacked parameters of some nets, of which net i depends on ``keys`` and i alone.

    Of a pool, each comes once before any comes again.
    """
    if isinstance(prior, Pool):
        order = torch.randperm(len(prior.members), generator=generator(*keys)).tolist()
        nets = [prior.members[order[i % len(order)]] for i in which]
    else:
        nets = [prior(generator(*keys, i)) for i in which]
    return {name: torch.stack([net[name] for net in nets]).to(device) for name in nets[0]}
