"""Units and layout: conversion from the samples of users to what students see, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor, nn

from .._guards import warn_user
from .arrays import CHUNK, Array, as_tensor

_MAX_OFFSET = 1e5  # standard deviations from 0; beyond, float32 has fewer than two digits left
_MAX_RANGE = 10  # largest range of a standardised feature
_COLOUR_CHANNELS = (1, 3, 4)


def student_shape(
    input_shape: tuple[int, ...], sample_shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape in which a student sees a sample of shape ``input_shape``.

    Parameters
    ----------
    input_shape : tuple of int
        ``X.shape[1:]``.
    sample_shape : tuple of int or None
        The shape that the user set. ``None`` keeps flat samples flat, adds a channel to grey
        images, and moves the channels of colour images from the last axis to the first.

    Returns
    -------
    tuple of int
        The shape.
    """
    if sample_shape is not None:
        if not all(isinstance(n, int | np.integer) and n > 0 for n in sample_shape):
            raise ValueError(
                f"sample_shape={tuple(sample_shape)} must hold positive integers. Give the "
                "(channels, height, width) of one sample, or leave sample_shape=None."
            )
        if math.prod(sample_shape) != math.prod(input_shape):
            raise ValueError(
                f"sample_shape={tuple(sample_shape)} has {math.prod(sample_shape)} values, but one "
                f"sample of X has shape {input_shape}, so {math.prod(input_shape)}. Give the "
                "(channels, height, width) of one sample, or leave sample_shape=None."
            )
        return tuple(int(n) for n in sample_shape)
    if len(input_shape) == 2:
        return (1, *input_shape)
    if _channels_last(input_shape):
        return (input_shape[-1], *input_shape[:-1])
    return input_shape


def _channels_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[-1] in _COLOUR_CHANNELS and shape[0] not in _COLOUR_CHANNELS


class Standardize(nn.Module):
    """The first layer of every student: it converts units and layout of X to standardised ones.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample of X.
    sample_shape : tuple of int
        Shape of one sample as the student sees it.
    shift, scale : Tensor or None
        Mean and standard deviation, broadcast against ``sample_shape``; by default 0 and 1.

    Attributes
    ----------
    varies : Tensor or None
        Which features vary in the data that were fitted; a constant one must stay as it is.
    """

    varies: Tensor | None = None
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        sample_shape: tuple[int, ...],
        shift: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.input_shape, self.sample_shape = tuple(input_shape), tuple(sample_shape)
        self.register_buffer("shift", torch.zeros(()) if shift is None else shift)
        self.register_buffer("scale", torch.ones(()) if scale is None else scale)
        moved = (*input_shape[-1:], *input_shape[:-1])
        self.channels_last = len(input_shape) == 3 and moved == self.sample_shape != input_shape

    def forward(self, x: Tensor) -> Tensor:
        """Convert samples (n, *input_shape) of any dtype to float32 (n, *sample_shape)."""
        x = x.to(self.shift.dtype)
        if self.channels_last:
            x = x.reshape(len(x), *self.input_shape).movedim(-1, 1)
        z = (x.reshape(len(x), *self.sample_shape) - self.shift) / self.scale
        return z.contiguous()  # vmap refuses tensors in channels-last order

    def inverse(self, z: Tensor) -> Tensor:
        """Convert standardised samples (n, *sample_shape) to the units of X (n, *input_shape)."""
        x = z * self.scale + self.shift
        if self.channels_last:
            x = x.movedim(1, -1)
        return x.reshape(len(x), *self.input_shape).contiguous()

    @classmethod
    def fit(
        cls, X: Array, input_shape: tuple[int, ...], sample_shape: tuple[int, ...]
    ) -> Standardize:
        """Compute the mean and scale of each channel of images, or of each feature of a table.

        The scale is the standard deviation, or a tenth of the range if that is larger. A constant
        feature has scale 1. ``X`` (n, n_features) is read chunk by chunk.
        """
        layout = cls(input_shape, sample_shape)
        scaler, bounds = StandardScaler(), MinMaxScaler()
        for z in layout.chunks(X):
            values = z.flatten(1).numpy().astype(np.float64)
            scaler.partial_fit(values)
            bounds.partial_fit(values)
        mean, scale, extent = scaler.mean_, scaler.scale_, bounds.data_range_
        if len(sample_shape) == 3:  # the pixels of a channel share its mean and scale
            mean, scale, extent = _of_channels(scaler, bounds, sample_shape[0])
        # If a feature is nearly constant, its rare other values would become huge.
        scale = np.maximum(scale, extent / _MAX_RANGE)
        if ((np.abs(mean) > _MAX_OFFSET * scale) & (extent > 0)).any():
            warn_user(
                "X has features that vary too little around a large mean for float32, in which "
                "students compute. Subtract the mean first."
            )
        shape = (-1, 1, 1) if len(sample_shape) == 3 else sample_shape
        shift, scale = (
            torch.as_tensor(a, dtype=torch.float32).reshape(shape) for a in (mean, scale)
        )
        units = cls(input_shape, sample_shape, shift, scale)
        units.varies = torch.as_tensor(extent > 0).reshape(shape)
        return units

    def chunks(self, X: Array) -> Iterator[Tensor]:
        """Yield ``X`` as students see it, chunk by chunk."""
        for part in gen_batches(len(X), max(1, CHUNK // X.shape[1])):
            yield self(as_tensor(X[part]))


def _of_channels(
    scaler: StandardScaler, bounds: MinMaxScaler, n_channels: int
) -> tuple[Array, Array, Array]:
    """Mean, scale and range of each channel, from those of its pixels."""
    means, variances, lowest, highest = (
        found.reshape(n_channels, -1)
        for found in (scaler.mean_, scaler.var_, bounds.data_min_, bounds.data_max_)
    )
    extent = highest.max(1) - lowest.min(1)
    scale = np.sqrt(variances.mean(1) + means.var(1))
    return means.mean(1), np.where(extent > 0, scale, 1.0), extent
