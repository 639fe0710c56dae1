"""Augmentations: random transformations of images, the same for real and distilled ones.

Pass one as ``augment=`` of a distiller. Each function draws one transformation from its generator
and applies it to all images alike. A generator in the same state therefore transforms other images
in the same way, as siamese augmentation requires. All are differentiable. Pixels from outside an
image are 0, which in standardised units is the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ._engine import Augment


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror images left to right, with probability 1/2.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The images, mirrored or not.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import flip
    >>> images = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> flip(images, torch.Generator().manual_seed(1)).tolist()
    [[[[3.0, 2.0, 1.0]]]]
    """
    return images.flip(-1) if _uniform(generator) < 0.5 else images


def shift(images: Tensor, generator: torch.Generator, ratio: float = 0.125) -> Tensor:
    """Move images by whole pixels, in a random direction.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    ratio : float, default=0.125
        Largest move, as a fraction of the height and of the width.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The moved images; pixels from outside are 0.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import shift
    >>> images = torch.ones(2, 1, 8, 8)
    >>> moved = shift(images, torch.Generator().manual_seed(0), ratio=0.25)
    >>> moved.shape, moved.sum() <= images.sum()
    (torch.Size([2, 1, 8, 8]), tensor(True))
    """
    (h, w), (top, left) = images.shape[-2:], (round(ratio * n) for n in images.shape[-2:])
    i, j = (_whole(generator, 2 * n + 1) for n in (top, left))
    return F.pad(images, (left, left, top, top))[..., i : i + h, j : j + w]


def scale(images: Tensor, generator: torch.Generator, ratio: float = 1.2) -> Tensor:
    """Stretch the height and the width of images by random factors.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    ratio : float, default=1.2
        Largest factor. Height and width have a factor each, log-uniform from 1 / ``ratio`` to
        ``ratio``.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The stretched images, of the same shape; pixels from outside are 0.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import scale
    >>> scale(torch.ones(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    y, x = (ratio ** _uniform(generator, -1, 1) for _ in range(2))
    return _resample(images, [[x, 0, 0], [0, y, 0]])


def rotate(images: Tensor, generator: torch.Generator, degrees: float = 15.0) -> Tensor:
    """Rotate images about their centre by a random angle.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    degrees : float, default=15.0
        Largest angle, in either direction.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The rotated images; pixels from outside are 0.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import rotate
    >>> images = torch.ones(1, 1, 9, 9)
    >>> rotated = rotate(images, torch.Generator().manual_seed(0), degrees=45)
    >>> rotated[0, 0, 4, 4], rotated[0, 0, 0, 0] < 1
    (tensor(1.), tensor(True))
    """
    angle = math.radians(_uniform(generator, -degrees, degrees))
    cos, sin = math.cos(angle), math.sin(angle)
    # grid_sample lets height and width both run from -1 to 1, so the aspect ratio enters.
    aspect = images.shape[-2] / images.shape[-1]
    return _resample(images, [[cos, -sin * aspect, 0], [sin / aspect, cos, 0]])


def cutout(images: Tensor, generator: torch.Generator, ratio: float = 0.5) -> Tensor:
    """Set a rectangle at a random place to 0.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    ratio : float, default=0.5
        Height and width of the rectangle, as fractions of those of the image. The part that falls
        outside the image has no effect.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The images with the rectangle blanked.

    References
    ----------
    DeVries and Taylor (2017), Improved regularization of convolutional neural networks with
    cutout, arXiv:1708.04552. Zhao and Bilen (2021), Dataset condensation with differentiable
    siamese augmentation, arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import cutout
    >>> blanked = cutout(torch.ones(1, 1, 8, 8), torch.Generator().manual_seed(0))
    >>> blanked.sum() < 64
    tensor(True)
    """
    kept = torch.ones_like(images[0, 0])
    corners = []
    for n in kept.shape:
        side = round(ratio * n)
        start = _whole(generator, n) - side // 2
        corners.append(slice(max(start, 0), start + side))
    kept[tuple(corners)] = 0
    return images * kept


def brightness(images: Tensor, generator: torch.Generator, amount: float = 0.5) -> Tensor:
    """Add a random number to all pixels.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    amount : float, default=0.5
        Largest number. The draw is uniform from -``amount`` to ``amount``.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The brighter or darker images.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import brightness
    >>> images = torch.zeros(2, 1, 8, 8)
    >>> brighter = brightness(images, torch.Generator().manual_seed(0), amount=0.1)
    >>> brighter.unique().numel(), brighter.abs().max() <= 0.1
    (1, tensor(True))
    """
    return images + _uniform(generator, -amount, amount)


def contrast(images: Tensor, generator: torch.Generator, amount: float = 0.5) -> Tensor:
    """Scale the distance of pixels from the mean of their image by a random factor.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    amount : float, default=0.5
        Range of the factor, which is uniform from 1 - ``amount`` to 1 + ``amount``.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The images with more or less contrast; their means stay.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import contrast
    >>> images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> changed = contrast(images, torch.Generator().manual_seed(0))
    >>> torch.allclose(changed.mean((1, 2, 3)), images.mean((1, 2, 3)))
    True
    """
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(generator, 1 - amount, 1 + amount)


def saturation(images: Tensor, generator: torch.Generator, amount: float = 1.0) -> Tensor:
    """Scale the distance of pixels from their mean over channels by a random factor.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    generator : torch.Generator
        Source of the draw.
    amount : float, default=1.0
        Range of the factor, which is uniform from 1 - ``amount`` to 1 + ``amount``.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        The images with stronger or weaker colours; grey images stay as they are.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import saturation
    >>> grey = torch.ones(2, 3, 8, 8)
    >>> torch.equal(saturation(grey, torch.Generator().manual_seed(0)), grey)
    True
    """
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * _uniform(generator, 1 - amount, 1 + amount)


@dataclass(frozen=True)
class Chain:
    """Several augmentations, one after the other.

    Parameters
    ----------
    augments : tuple of callable
        The augmentations, in order. An empty tuple leaves images unchanged.

    See Also
    --------
    OneOf : Draws one of several augmentations.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import MLP, Chain, DatasetDistiller, brightness, shift
    >>> digits = load_digits()
    >>> augment = Chain((shift, brightness))
    >>> distiller = DatasetDistiller(student=MLP, augment=augment, max_iter=100, random_state=0)
    >>> distiller.fit(digits.images, digits.target).X_syn_.shape
    (10, 8, 8)
    """

    augments: tuple[Augment, ...]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Apply the augmentations to images (n, channels, height, width)."""
        for augment in self.augments:
            images = augment(images, generator)
        return images


@dataclass(frozen=True)
class OneOf:
    """One of several augmentations, drawn with equal probability.

    Parameters
    ----------
    augments : tuple of callable
        The augmentations to draw from.

    See Also
    --------
    Chain : Applies several augmentations, one after the other.

    References
    ----------
    Zhao and Bilen (2021), Dataset condensation with differentiable siamese augmentation,
    arXiv:2102.08259.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import OneOf, rotate, shift
    >>> augment = OneOf((shift, rotate))
    >>> augment(torch.ones(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """

    augments: tuple[Augment, ...]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw an augmentation and apply it to images (n, channels, height, width)."""
        return self.augments[_whole(generator, len(self.augments))](images, generator)


COLOR = Chain((brightness, saturation, contrast))
"""Random brightness, saturation and contrast, in this order (Zhao and Bilen 2021)."""

DSA = OneOf((COLOR, shift, cutout, flip, scale, rotate))
"""The augmentation of Zhao and Bilen (2021), arXiv:2102.08259. Leave out ``flip`` for digits."""


def _resample(images: Tensor, affine: list[list[float]]) -> Tensor:
    """Resample images at the positions that ``affine`` maps each pixel to, bilinearly."""
    grid = F.affine_grid(images.new_tensor([affine]), [1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)


def _uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _whole(generator: torch.Generator, n: int) -> int:
    """Draw an integer from 0 to n - 1."""
    return int(torch.randint(n, (), generator=generator))
