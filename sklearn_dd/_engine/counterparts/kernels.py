"""Models that weigh samples by a Gaussian kernel: support vector machines and kernel ridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .neighbours import distances


@dataclass(frozen=True)
class KernelRidge:
    """A ridge regression on labels with a Gaussian kernel, for a support vector machine with it.

    The machine's loss is another, but both weigh the same kernel, and agree in what they predict.

    Parameters
    ----------
    C : float
        Inverse of twice the penalty.
    gamma : float or None
        Of the kernel exp(-gamma * squared distance). ``None``: 1 / n_features.
    per_variance : bool
        Whether gamma is divided by the variance of all values of x.
    is_centred : bool
        Whether the model has an intercept.
    """

    C: float = 1.0
    gamma: float | None = None
    per_variance: bool = True
    is_centred: bool = True

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """Predicted labels."""
        gamma: float | Tensor = 1 / x.shape[1] if self.gamma is None else self.gamma
        if self.per_variance:
            gamma = gamma / x.var(unbiased=False)
        kernel = torch.exp(-gamma * distances(x, x))
        eye = torch.eye(len(x), dtype=x.dtype, device=x.device)
        mean = y.mean(0) if self.is_centred else torch.zeros_like(y[0])
        dual = torch.linalg.solve_ex(kernel + eye / (2 * self.C), y - mean)[0]
        return mean + torch.exp(-gamma * distances(x, new)) @ dual
