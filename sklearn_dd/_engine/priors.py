"""Weight priors p(θ_0): where students start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .carry import Params
from .seeds import Drawing, generator

Weights = dict[str, Tensor]
"""The parameters of one student: name -> shape."""

Prior = Callable[[torch.Generator], Weights]
"""(generator) -> the initial parameters of one student."""


def random(build: Callable[[], nn.Module]) -> Prior:
    """The prior from which the module's own constructor draws."""

    def prior(g: torch.Generator) -> Weights:
        with Drawing(g):
            return {name: p.detach() for name, p in build().named_parameters()}

    return prior


@dataclass(frozen=True)
class Pool:
    """A pool of known nets, which are drawn with equal probability."""

    members: Sequence[Weights]

    def __call__(self, g: torch.Generator) -> Weights:
        """Draw one net."""
        return self.members[int(torch.randint(len(self.members), (), generator=g))]


@dataclass(frozen=True)
class Mixed:
    """A prior that draws from another one with the probability ``share``."""

    prior: Prior
    other: Prior
    share: float

    def __call__(self, g: torch.Generator) -> Weights:
        """Draw from one of the two."""
        return (self.other if torch.rand((), generator=g) < self.share else self.prior)(g)


def distinct(prior: Prior, n: int) -> range:
    """At most ``n`` indices to draw, so that no net of a pool is drawn twice."""
    return range(min(n, len(prior.members)) if isinstance(prior, Pool) else n)


def known_net(prior: Prior) -> Weights | None:
    """The net of a pool that has only one, else None."""
    return prior.members[0] if isinstance(prior, Pool) and len(prior.members) == 1 else None


def hold_out_nets(prior: Prior, fraction: float, g: torch.Generator) -> tuple[Prior, Prior]:
    """Split a pool into nets to distil for and nets to validate with.

    Distilled samples can suit the nets that they were learned for far better than other nets. A
    prior that is not a pool, or a pool that is too small to split, is returned twice.
    """
    if not isinstance(prior, Pool):
        return prior, prior
    n_held_out = int(fraction * len(prior.members))
    if n_held_out == 0:
        return prior, prior
    order = torch.randperm(len(prior.members), generator=g).tolist()
    members = [prior.members[i] for i in order]
    return Pool(members[n_held_out:]), Pool(members[:n_held_out])


def draw(
    prior: Prior, indices: Iterable[int], *keys: int, device: torch.device | None = None
) -> Params:
    """Draw stacked parameters. Those with index i depend on ``keys`` and i alone.

    The nets of a pool are drawn without replacement until each has been drawn once.
    """
    if isinstance(prior, Pool):
        order = torch.randperm(len(prior.members), generator=generator(*keys)).tolist()
        drawn = [prior.members[order[i % len(order)]] for i in indices]
    else:
        drawn = [prior(generator(*keys, i)) for i in indices]
    return {name: torch.stack([w[name] for w in drawn]).to(device) for name in drawn[0]}
