"""Siamese augmentation: what is done to the real images is done to the distilled ones.

Each function draws one transformation from its generator and applies it to all images alike, so
that a generator in the same state transforms any other images in the same way. All are
differentiable. Where a pixel comes from outside of an image it is 0: in standardised units, a mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ._engine import Augment


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror left and right, every other time."""
    return images.flip(-1) if _uniform(generator) < 0.5 else images


def shift(images: Tensor, generator: torch.Generator, ratio: float = 0.125) -> Tensor:
    """Move by whole pixels, up to ``ratio`` of the height and of the width."""
    (h, w), (top, left) = images.shape[-2:], (round(ratio * n) for n in images.shape[-2:])
    i, j = (_whole(generator, 2 * n + 1) for n in (top, left))
    return F.pad(images, (left, left, top, top))[..., i : i + h, j : j + w]


def scale(images: Tensor, generator: torch.Generator, ratio: float = 1.2) -> Tensor:
    """Stretch height and width by factors from 1 / ``ratio`` to ``ratio``, log-uniformly."""
    y, x = (ratio ** _uniform(generator, -1, 1) for _ in range(2))
    return _resample(images, [[x, 0, 0], [0, y, 0]])


def rotate(images: Tensor, generator: torch.Generator, degrees: float = 15.0) -> Tensor:
    """Turn about the centre, up to ``degrees`` either way."""
    angle = math.radians(_uniform(generator, -degrees, degrees))
    cos, sin = math.cos(angle), math.sin(angle)
    # Where height and width both run from -1 to 1, a circle is an ellipse.
    aspect = images.shape[-2] / images.shape[-1]
    return _resample(images, [[cos, -sin * aspect, 0], [sin / aspect, cos, 0]])


def cutout(images: Tensor, generator: torch.Generator, ratio: float = 0.5) -> Tensor:
    """Blank a rectangle of ``ratio`` of the height and of the width, less what falls outside."""
    kept = torch.ones_like(images[0, 0])
    corners = []
    for n in kept.shape:
        side = round(ratio * n)
        start = _whole(generator, n) - side // 2
        corners.append(slice(max(start, 0), start + side))
    kept[tuple(corners)] = 0
    return images * kept


def brightness(images: Tensor, generator: torch.Generator, amount: float = 0.5) -> Tensor:
    """Add up to ``amount``, or take it away."""
    return images + _uniform(generator, -amount, amount)


def contrast(images: Tensor, generator: torch.Generator, amount: float = 0.5) -> Tensor:
    """Scale the distance from an image's mean by a factor from 1 - ``amount`` to 1 + ``amount``."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(generator, 1 - amount, 1 + amount)


def saturation(images: Tensor, generator: torch.Generator, amount: float = 1.0) -> Tensor:
    """Scale the distance from a pixel's mean over channels by 1 - ``amount`` to 1 + ``amount``."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * _uniform(generator, 1 - amount, 1 + amount)


@dataclass(frozen=True)
class Chain:
    """One augmentation after the other.

    Parameters
    ----------
    augments : tuple of callable
        The augmentations; none at all leave the images as they are.
    """

    augments: tuple[Augment, ...]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        for augment in self.augments:
            images = augment(images, generator)
        return images


@dataclass(frozen=True)
class OneOf:
    """One of several augmentations, each as likely.

    Parameters
    ----------
    augments : tuple of callable
        The augmentations.
    """

    augments: tuple[Augment, ...]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.augments[_whole(generator, len(self.augments))](images, generator)


COLOR = Chain((brightness, saturation, contrast))

DSA = OneOf((COLOR, shift, cutout, flip, scale, rotate))
"""The choice of Zhao and Bilen (2021), arXiv:2102.08259; without ``flip`` for digits."""


def _resample(images: Tensor, affine: list[list[float]]) -> Tensor:
    """Each pixel from where ``affine`` maps it, bilinear."""
    grid = F.affine_grid(images.new_tensor([affine]), [1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)


def _uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _whole(generator: torch.Generator, n: int) -> int:
    """One of 0 … n - 1."""
    return int(torch.randint(n, (), generator=generator))
