"""Real samples as standardised batches on a device."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from .arrays import CHUNK, Array, as_tensor
from .units import Standardize
from .weights import rows_at


class RealData:
    """A part of the real set, which stays in host memory and is moved to the device in batches.

    If it fits into the memory of a CUDA device, it is moved there once, as uint8 or float32.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Samples, possibly a memory map. They are never copied as a whole on the host.
    y : ndarray of shape (n,) or (n, n_outputs)
        Class indices, or float32 values.
    rows : ndarray of int
        The samples of this part, such as those to train on or those held out.
    standardize : Standardize
        Converts a batch to the units of the student.
    batch_size : int
        Number of samples in a batch. If the part has no more samples, a batch is the whole part.
    device : torch.device
        Device to move batches to.
    weights : ndarray of shape (n,) or None, default=None
        How much each sample counts in a drawn batch and in a score; ``None`` counts all alike.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        rows: Array,
        standardize: Standardize,
        batch_size: int,
        device: torch.device,
        weights: Array | None = None,
    ) -> None:
        self.weights = None if weights is None else weights[rows]
        self.edges = None if self.weights is None else np.cumsum(self.weights, dtype=np.float64)
        self.X, self.rows, self.batch_size, self.device = X, rows, batch_size, device
        self.y = torch.as_tensor(y)
        self.standardize = copy.deepcopy(standardize).to(device)
        self.resident: Tensor | None = None
        size = len(rows) * X.shape[1] * (1 if X.dtype == np.uint8 else 4)
        if device.type == "cuda" and 2 * size < torch.cuda.mem_get_info(device)[0]:
            dtype = torch.uint8 if X.dtype == np.uint8 else torch.float32
            self.resident = torch.empty((len(rows), X.shape[1]), dtype=dtype, device=device)
            for part in gen_batches(len(rows), max(1, CHUNK // X.shape[1])):
                self.resident[part] = as_tensor(X[rows[part]]).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: Array | slice) -> tuple[Tensor, Tensor]:
        """Return standardised samples and their y, on the device."""
        rows = self.rows[which]
        if self.resident is not None:
            x = self.resident[
                which if isinstance(which, slice) else torch.from_numpy(which).to(self.device)
            ]
        else:
            x = as_tensor(self.X[rows]).to(self.device)
        return self.standardize(x), self.y[rows].to(self.device)

    def sample(self, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a batch, with replacement; samples of more weight come more often."""
        if self.edges is not None:
            positions = torch.rand(self.batch_size, generator=g, dtype=torch.float64).numpy()
            return self.take(rows_at(self.edges, positions))
        if self.batch_size >= len(self):
            return self.take(slice(None))
        return self.take(torch.randint(len(self), (self.batch_size,), generator=g).numpy())

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all samples once, in order, in batches."""
        for rows in gen_batches(len(self), self.batch_size):
            yield self.take(rows)

    def weights_in_order(self) -> Iterator[Tensor]:
        """Yield the weights of the batches of ``in_order``, on the CPU."""
        weights = np.ones(len(self)) if self.weights is None else self.weights
        for rows in gen_batches(len(self), self.batch_size):
            yield torch.as_tensor(weights[rows], dtype=torch.float64)
