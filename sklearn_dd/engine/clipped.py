"""A hypergradient that is no longer than usual."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .hypergradient import Estimator, Hypergradient, Task
from .outer_loop import State, carried, carry_on

_MEMORY = 0.9  # of the running length


@dataclass(eq=False)
class Clipped:
    """An estimator whose gradients are cut to so many times their usual length.

    Windows at random places of a training have gradients of very different lengths, of which Adam
    would follow the longest. Those for x̃, ỹ and η are cut apart, as their units are not the same.
    The usual length is a running mean of the lengths after they were cut (Feng, Vedantam and Kempe
    2023, RaT-BPTT, arXiv:2311.07025).

    Parameters
    ----------
    estimator : Estimator
        What is cut, such as ``Unrolled(window=60)``; of several processes each cuts its own share.
    ratio : float
        Times the usual length.
    """

    estimator: Estimator
    ratio: float = 2.0

    def __post_init__(self) -> None:
        if not self.ratio > 0:
            raise ValueError(f"ratio must be positive, got {self.ratio!r}. RaT-BPTT takes 2.")
        self.usual: Tensor | None = None

    def __call__(self, task: Task) -> Hypergradient:
        found = self.estimator(task)
        gradients = found[1:]
        length = torch.stack([g.norm() for g in gradients])
        usual = length if self.usual is None else self.usual.to(length)
        # What is not finite is for the outer loop to undo, and says nothing of what is usual.
        usual = torch.where(usual.isfinite() & (usual > 0), usual, length)
        share = torch.where(length > self.ratio * usual, self.ratio * usual / length, 1.0)
        cut = torch.where(length.isfinite(), share * length, usual)
        self.usual = torch.lerp(cut, usual, _MEMORY)
        cut_gradients = (s * g for s, g in zip(share, gradients, strict=True))
        return Hypergradient(found.loss, *cut_gradients)

    def state_dict(self) -> State:
        """The usual lengths, and what the estimator carries from one iteration to the next."""
        own = {} if self.usual is None else {"clipped/usual": self.usual}
        return {**own, **carried(self.estimator)}

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        state = dict(state)
        self.usual = state.pop("clipped/usual", None)
        carry_on(self.estimator, state)
