"""What a counterpart is, and the hypergradient of one."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..losses import Objective

_SCALES = 2.0 ** torch.arange(-8, 13)
_HALVINGS = 12  # of the interval of scales


class Counterpart(Protocol):
    """What a model says of new samples, as a function of the samples that it learned from.

    Its outputs are in the model's own units. The class with the largest output is what the model
    predicts; how certain it is does not count, because `loss` takes the best scale.
    """

    def __call__(
        self,
        x: Tensor,  # (m, n_features), what the model learns from
        y: Tensor,  # (m, n_outputs), class probabilities or numbers
        new: Tensor,  # (n, n_features)
        generator: torch.Generator,  # of what the model draws
    ) -> Tensor:  # (n, n_outputs), differentiable in x and y
        """Outputs for new samples."""
        ...


def scaled(objective: Objective, outputs: Tensor, y: Tensor) -> Tensor:
    """The outputs times the positive number with which their objective is lowest.

    The number is a constant for the gradient. At the minimum this is exact: the objective does not
    change with it there (envelope theorem). A cross-entropy is convex in it.
    """
    with torch.no_grad():
        fixed = outputs.detach()
        scales = _SCALES.to(fixed)
        values = torch.stack([objective(s * fixed, y) for s in scales])
        best = int(values.nan_to_num(torch.inf).argmin())
        low, high = scales[max(best - 1, 0)].log(), scales[min(best + 1, len(scales) - 1)].log()
        for _ in range(_HALVINGS):  # golden sections would save evaluations and cost clarity
            thirds = (2 * low + high) / 3, (low + 2 * high) / 3
            first, second = (objective(t.exp() * fixed, y) for t in thirds)
            low, high = torch.where(
                first < second, torch.stack([low, thirds[1]]), torch.stack([thirds[0], high])
            )
    return ((low + high) / 2).exp() * outputs
