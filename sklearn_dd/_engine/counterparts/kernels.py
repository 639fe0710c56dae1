"""Models that weigh samples by a kernel: support vector machines, kernel ridge, random forests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .neighbours import distances


@dataclass(frozen=True)
class KernelRidge:
    """A ridge regression on labels with a Gaussian kernel, for a support vector machine with it.

    The machine's loss is another, but both weigh the same kernel, and agree in what they predict.
    """

    C: float = 1.0
    gamma: float | None = None  # None: 1 / (n_features * variance of x), scikit-learn's "scale"

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """Predicted labels, centred."""
        gamma = 1 / (x.shape[1] * x.var(unbiased=False)) if self.gamma is None else self.gamma
        kernel = torch.exp(-gamma * distances(x, x))
        eye = torch.eye(len(x), dtype=x.dtype, device=x.device)
        labels = y - y.mean(0)
        dual = torch.linalg.solve_ex(kernel + eye / (2 * self.C), labels)[0]
        return torch.exp(-gamma * distances(x, new)) @ dual


@dataclass(frozen=True)
class RandomSubspaces:
    """Laplace kernels on random subsets of the features, for a forest of axis-parallel splits.

    Forests of random splits tend to this kernel: two samples fall into one leaf with a probability
    that falls exponentially with their distance, summed over features.

    References
    ----------
    Balog, Lakshminarayanan, Ghahramani, Roy and Teh (2016), The Mondrian kernel, UAI.
    """

    n_subsets: int = 4
    share: float = 2.0  # of the square root of the number of features
    rate: float = 1.0  # of the kernel, in units of the mean distance in a subset

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The logarithm of each class's share of the weight of the samples, mean over subsets."""
        n_features = x.shape[1]
        size = min(n_features, max(1, round(self.share * n_features**0.5)))
        found = x.new_zeros(len(new), y.shape[1])
        for _ in range(self.n_subsets):
            subset = torch.randperm(n_features, generator=generator)[:size].to(x.device)
            d = torch.cdist(new[:, subset], x[:, subset], p=1)
            weights = (-self.rate * d * (len(subset) ** -0.5)).softmax(1)
            found = found + weights @ y
        return (found / self.n_subsets).clamp(min=1e-6).log()
