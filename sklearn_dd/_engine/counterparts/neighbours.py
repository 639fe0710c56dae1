"""Models that compare distances: nearest neighbours and nearest centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_LEAST = 1e-6  # of the samples of a class


def distances(x: Tensor, new: Tensor, p: float = 2) -> Tensor:
    """Distances (n, m) of new samples (n, d) from x (m, d); squared ones for p = 2."""
    if p != 2:
        return torch.cdist(new, x, p=p)
    squares = new.square().sum(1)[:, None] + x.square().sum(1)
    return (squares - 2 * new @ x.T).clamp(min=0)


@dataclass(frozen=True)
class NearestNeighbours:
    """A vote among the k nearest samples.

    Of two classes, the one whose r-th nearest sample is nearer has the majority among k = 2 r - 1
    neighbours. So minus this distance is the output of a class. For one neighbour, the class with
    the largest output is what the nearest neighbour says, for any number of classes.
    """

    n_neighbors: int = 1
    p: float = 2

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """Minus the distance of the r-th nearest sample of each class."""
        d, of = distances(x, new, self.p), y.argmax(1)
        far = 2 * d.detach().amax(1)  # of a class that learned labels have left without samples
        found = []
        for c in range(y.shape[1]):
            own = d[:, of == c]
            if not own.shape[1]:
                found.append(far)
                continue
            r = min(self.n_neighbors // 2 + 1, own.shape[1])
            found.append(own.min(1).values if r == 1 else own.kthvalue(r).values)
        return -torch.stack(found, 1)


@dataclass(frozen=True)
class NeighbourMeans:
    """The mean of the numbers of the k nearest samples, each of which counts the less the farther.

    Nothing would move the samples if neighbours counted all or not at all. The narrower the kernel,
    the nearer this is to k neighbours alike.

    Parameters
    ----------
    n_neighbors : int
        k.
    p : float
        Of the Minkowski distance.
    width : float
        Variance of the kernel, as a share of the mean squared distance of the k-th neighbour.
    """

    n_neighbors: int = 1
    p: float = 2
    width: float = 0.2

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The weighted mean of y."""
        d = distances(x, new, self.p)
        d = d if self.p == 2 else d.square()
        far = d.kthvalue(min(self.n_neighbors, len(x)), dim=1).values.mean()
        return (-d / (2 * self.width * far).clamp(min=torch.finfo(d.dtype).tiny)).softmax(1) @ y


@dataclass(frozen=True)
class NearestCentroid:
    """The class whose mean is nearest."""

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """Minus the squared distance of the mean of each class."""
        means = (y.T @ x) / y.sum(0)[:, None].clamp(min=_LEAST)
        return -distances(means, new)


@dataclass(frozen=True)
class GaussianClasses:
    """A normal distribution of each feature in each class: Gaussian naive Bayes."""

    smoothing: float = 1e-9  # of variances, as a share of the largest variance of a feature

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The logarithm of each class's density and share."""
        n = y.sum(0)[:, None].clamp(min=_LEAST)
        means = (y.T @ x) / n
        variances = ((y.T @ x.square()) / n - means.square()).clamp(min=0)
        variances = variances + self.smoothing * x.var(0, unbiased=False).max()
        # The squares of differences, multiplied out: (n, n_classes, n_features) would be large.
        wide, centre, precision = new.double(), means.double(), 1 / variances.double()
        away = wide.square() @ precision.T - 2 * wide @ (centre * precision).T
        away = (away + (centre.square() * precision).sum(1)).to(new)
        return -0.5 * (away + variances.log().sum(1)) + (n[:, 0] / n.sum()).log()
