"""Students whose convolutions and pooling use this package's kernels on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..carry import Params
from ..private_torch import functorch_is_active
from ..student_fn import Apply
from .convolution import conv2d
from .pooling import avg_pool2d, max_pool2d

Kernels = Mapping[Any, Callable[..., Any]]
"""A function of torch -> the function that is called in its place."""

CONVOLUTION: Kernels = {F.conv2d: conv2d}
POOLING: Kernels = {
    F.max_pool2d: max_pool2d,
    torch.max_pool2d: max_pool2d,
    F.avg_pool2d: avg_pool2d,
}


def with_kernels(apply: Apply, kernels: Kernels) -> Apply:
    """``apply`` with other kernels in place of torch's."""
    if not kernels:
        return apply

    def fast(params: Params, x: Tensor) -> Tensor:
        with _Diverted(kernels):
            return apply(params, x)

    return fast


class _Diverted(TorchFunctionMode):
    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self.kernels = kernels

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # torch.func has its own rules for a Function, and is rarely used for images on a CPU.
        plain = functorch_is_active()
        return (func if plain else self.kernels.get(func, func))(*args, **(kwargs or {}))
