"""What a counterpart is, and the hypergradient of one."""

from __future__ import annotations

import math
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ..losses import Objective

# 1/256 to 256 per standard deviation, to begin with
_LOG_SCALES = torch.arange(-8, 9) * math.log(4) / 2
_GOLDEN, _SECTIONS = (math.sqrt(5) - 1) / 2, 14


class Counterpart(Protocol):
    """What a model says of new samples, as a function of the samples that it learned from.

    Its outputs are in the model's own units. The class with the largest output is what the model
    predicts; how certain it is does not count, because `scaled` takes the best scale.

    Attributes
    ----------
    is_random : bool
        Whether the model draws something when it learns.
    share : float
        Of the iterations, those that the model takes part in beside others: less than 1 if it takes
        much longer than they do.
    """

    is_random: ClassVar[bool]
    share: ClassVar[float]

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
    fixed = outputs.detach()
    unit = fixed.std(correction=0)
    unit = torch.where((unit > 0) & unit.isfinite(), unit, 1.0)

    def value(log_scale: Tensor) -> float:
        return float(objective(log_scale.exp() * fixed, y).nan_to_num(torch.inf))

    with torch.no_grad():
        logs = _LOG_SCALES.to(fixed) - unit.log()
        best = logs[min(range(len(logs)), key=lambda k: value(logs[k]))]
        low, high = best - math.log(2), best + math.log(2)
        inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
        values = [value(t) for t in inner]
        for _ in range(_SECTIONS):  # a golden-section search
            if values[0] < values[1]:
                high, inner[1], values[1] = inner[1], inner[0], values[0]
                inner[0] = high - _GOLDEN * (high - low)
                values[0] = value(inner[0])
            else:
                low, inner[0], values[0] = inner[0], inner[1], values[1]
                inner[1] = low + _GOLDEN * (high - low)
                values[1] = value(inner[1])
    return ((low + high) / 2).exp() * outputs
