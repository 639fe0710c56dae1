"""Conversion between arrays and tensors, and the choice of a device."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

CHUNK = 1 << 19  # values that are converted to floats at a time


def as_tensor(X: Array) -> Tensor:
    """Copy ``X`` to a tensor of uint8 or float32."""
    return torch.from_numpy(np.array(X, dtype=np.uint8 if X.dtype == np.uint8 else np.float32))


def on_host(values: Any) -> Any:
    """Convert a tensor to an array; return anything else unchanged."""
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu()  # NumPy has no bfloat16
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def fingerprint(X: Array, y: Array) -> str:
    """A hash of all labels and of up to a thousand samples."""
    some = X[:: -(-len(X) // 1000)]
    # In C order, so that the memory layout does not change the hash.
    return joblib.hash((np.array(some, dtype=np.float32, order="C"), np.array(y, order="C")))


def resolve_device(device: str | torch.device) -> torch.device:
    """The device that ``device`` names. ``"auto"`` takes CUDA, else MPS, else the CPU."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, is_available in available.items() if is_available))
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a device that torch knows: {error}") from error
    if not available.get(resolved.type, True):
        raise ValueError(
            f"device={device!r} is not available here: choose 'auto' or one of "
            f"{[name for name, is_available in available.items() if is_available]}."
        )
    return resolved
