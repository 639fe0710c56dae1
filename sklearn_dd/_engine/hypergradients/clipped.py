"""Clip hypergradients to a multiple of their running norm (RaT-BPTT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .problem import Hypergradient, Method, OuterProblem, State, Wrapper, as_method

_DECAY = 0.9  # of the running norm


@dataclass(eq=False)
class Clipped(Wrapper):
    """A method whose gradients are clipped to a multiple of their running norm.

    Windows at random places of a training give gradients of very different norms, and Adam would
    follow the largest. The gradients for x̃, ỹ and η are clipped separately, because their units
    differ. The running norm is a running mean of the norms after clipping.

    Parameters
    ----------
    method : Method
        What is clipped, such as ``Unrolled(window=60)``. With several processes, each clips its own
        share.
    ratio : float, default=2.0
        Largest norm, in units of the running norm.

    References
    ----------
    Feng, Vedantam and Kempe (2023), Embarrassingly simple dataset distillation (RaT-BPTT),
    arXiv:2311.07025.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import Clipped, DatasetDistiller, Unrolled
    >>> X, y = load_wine(return_X_y=True)
    >>> method = Clipped(Unrolled(window=5))
    >>> DatasetDistiller(method=method, max_iter=20, random_state=0).fit(X, y).n_iter_
    20
    """

    method: Method
    ratio: float = 2.0

    def __post_init__(self) -> None:
        if not self.ratio > 0:
            raise ValueError(f"ratio must be positive, got {self.ratio!r}. RaT-BPTT takes 2.")
        self.method = as_method(self.method)
        self.running_norm: Tensor | None = None  # of the gradients for x, y and lrs

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its clipped gradient."""
        found = self.method(problem)
        gradients = found[1:]
        norm = torch.stack([g.norm() for g in gradients])
        running = norm if self.running_norm is None else self.running_norm.to(norm)
        # The outer loop undoes what is not finite; it says nothing about the usual norm.
        running = torch.where(running.isfinite() & (running > 0), running, norm)
        share = torch.where(norm > self.ratio * running, self.ratio * running / norm, 1.0)
        clipped = torch.where(norm.isfinite(), share * norm, running)
        self.running_norm = torch.lerp(clipped, running, _DECAY)
        return Hypergradient(found.loss, *(s * g for s, g in zip(share, gradients, strict=True)))

    def state_dict(self) -> State:
        """The running norm, and what the inner method carries."""
        own = {} if self.running_norm is None else {"clipped/usual": self.running_norm}
        return {**own, **self.method.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        state = dict(state)
        self.running_norm = state.pop("clipped/usual", None)
        self.method.load_state_dict(state)
