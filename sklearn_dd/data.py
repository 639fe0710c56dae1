"""Arrays on their way to a student, and back."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor, nn

Array = NDArray[Any]

_CHUNK = 1 << 19  # values that are looked at as floats at one time
_MAX_OFFSET = 1e5  # deviations from 0, at which float32 has two digits left
_MAX_RANGE = 10  # deviations from the smallest to the largest value
_COLOUR_CHANNELS = (1, 3, 4)


def student_shape(
    input_shape: tuple[int, ...], sample_shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Shape in which a student sees a sample that the user holds in ``input_shape``.

    Parameters
    ----------
    input_shape : tuple of int
        ``X.shape[1:]``.
    sample_shape : tuple of int or None
        What the user asked for; ``None`` keeps flat samples flat, gives grey images a channel and
        moves the channels of colour images that come last to the front.
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


def fingerprint(X: Array, y: Array) -> str:
    """A hash that tells data sets apart, of all labels and of up to a thousand samples."""
    some = X[:: -(-len(X) // 1000)]
    # Of values, in whatever order memory holds them.
    return joblib.hash((np.array(some, dtype=np.float32, order="C"), np.array(y, order="C")))


class Standardize(nn.Module):
    """The first layer of every student: samples in the units and the layout of X → standardised.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample as the user holds it.
    sample_shape : tuple of int
        Shape of one sample as the network behind takes it.
    shift, scale : Tensor or None
        Broadcast against ``sample_shape``; ``None`` stands for 0 and 1.
    """

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
        """Return (n, *sample_shape), float32, of samples (n, *input_shape) of any dtype."""
        x = x.to(self.shift.dtype)
        if self.channels_last:
            x = x.reshape(len(x), *self.input_shape).movedim(-1, 1)
        z = (x.reshape(len(x), *self.sample_shape) - self.shift) / self.scale
        return z.contiguous()  # vmap does not take memory in channels-last order

    def inverse(self, z: Tensor) -> Tensor:
        """Return (n, *input_shape) in the units of X of standardised samples (n, *sample_shape)."""
        x = z * self.scale + self.shift
        if self.channels_last:
            x = x.movedim(1, -1)
        return x.reshape(len(x), *self.input_shape).contiguous()

    @classmethod
    def fit(
        cls, X: Array, input_shape: tuple[int, ...], sample_shape: tuple[int, ...]
    ) -> Standardize:
        """Take mean and deviation of every channel of images, of every feature of a table.

        The deviation, or a tenth of the range where that is larger, becomes 1.
        ``X`` (n, n_features) is read chunk by chunk; a constant feature keeps its scale.
        """
        layout = cls(input_shape, sample_shape)
        scaler, bounds = StandardScaler(), MinMaxScaler()
        for z in layout.chunks(X):
            if len(sample_shape) == 3:
                z = z.movedim(1, -1).flatten(0, 2)
            values = z.flatten(1).numpy().astype(np.float64)
            scaler.partial_fit(values)
            bounds.partial_fit(values)
        # A feature that is nearly always the same would make outliers of all other values.
        scale = np.maximum(scaler.scale_, bounds.data_range_ / _MAX_RANGE)
        far = np.abs(scaler.mean_) > _MAX_OFFSET * scale
        if (far & (bounds.data_range_ > 0)).any():
            warnings.warn(
                "X has features that vary too little around a large mean to be told apart in "
                "float32, in which students compute. Subtract the mean first.",
                stacklevel=5,
            )
        shape = (-1, 1, 1) if len(sample_shape) == 3 else sample_shape
        shift, scale = (
            torch.as_tensor(a, dtype=torch.float32).reshape(shape) for a in (scaler.mean_, scale)
        )
        return cls(input_shape, sample_shape, shift, scale)

    def chunks(self, X: Array) -> Iterator[Tensor]:
        """Yield all of ``X`` as the network sees it, a chunk at a time."""
        for part in gen_batches(len(X), max(1, _CHUNK // X.shape[1])):
            yield self(as_tensor(X[part]))


def as_tensor(X: Array) -> Tensor:
    """A tensor of the values of ``X``, in one or four bytes each, that shares no memory with it."""
    return torch.from_numpy(np.array(X, dtype=np.uint8 if X.dtype == np.uint8 else np.float32))


class RealData:
    """The real set: it stays in host memory as it is, and travels batch by batch.

    On a CUDA device that it fits into, it is moved there once, in bytes or float32.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Samples; also a memory map. Never copied as a whole on the host.
    y : ndarray of shape (n,) or (n, n_outputs)
        Class indices, or float32.
    rows : ndarray of int
        The samples that belong to this part, such as the training or the held-out one.
    standardize : Standardize
        What makes a batch ready for the network.
    batch_size : int
        Samples of one batch; all of them, in order, where there are no more.
    device : torch.device
        Where batches go.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        rows: Array,
        standardize: Standardize,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.X, self.rows, self.batch_size, self.device = X, rows, batch_size, device
        self.y = torch.as_tensor(y)
        self.standardize = copy.deepcopy(standardize).to(device)
        self.resident: Tensor | None = None
        size = len(rows) * X.shape[1] * (1 if X.dtype == np.uint8 else 4)
        if device.type == "cuda" and 2 * size < torch.cuda.mem_get_info(device)[0]:
            dtype = torch.uint8 if X.dtype == np.uint8 else torch.float32
            self.resident = torch.empty((len(rows), X.shape[1]), dtype=dtype, device=device)
            for part in gen_batches(len(rows), max(1, _CHUNK // X.shape[1])):
                self.resident[part] = as_tensor(X[rows[part]]).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: Array | slice) -> tuple[Tensor, Tensor]:
        """Return samples, standardised, and their classes, on the device."""
        rows = self.rows[which]
        if self.resident is not None:
            x = self.resident[
                which if isinstance(which, slice) else torch.from_numpy(which).to(self.device)
            ]
        else:
            x = as_tensor(self.X[rows]).to(self.device)
        return self.standardize(x), self.y[rows].to(self.device)

    def sample(self, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a batch, with replacement."""
        if self.batch_size >= len(self):
            return self.take(slice(None))
        return self.take(torch.randint(len(self), (self.batch_size,), generator=g).numpy())

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through all of it once."""
        for rows in gen_batches(len(self), self.batch_size):
            yield self.take(rows)


def resolve_device(device: str | torch.device) -> torch.device:
    """The device that ``device`` names; ``"auto"`` is CUDA, else MPS, else the CPU."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a device that torch knows: {error}") from error
    if not available.get(resolved.type, True):
        raise ValueError(
            f"device={device!r} is not available here: choose 'auto' or one of "
            f"{[name for name, there in available.items() if there]}."
        )
    return resolved
