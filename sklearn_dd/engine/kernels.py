"""A network's calls of torch that have kernels of ours on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .convolution import conv2d
from .inner_loop import Apply
from .normalization import local_response_norm
from .optimizers import Params
from .pooling import avg_pool2d, max_pool2d

_KERNELS: dict[Any, Callable[..., Any]] = {
    F.conv2d: conv2d,
    F.max_pool2d: max_pool2d,
    torch.max_pool2d: max_pool2d,
    F.avg_pool2d: avg_pool2d,
    F.local_response_norm: local_response_norm,
}


def with_fast_kernels(apply: Apply) -> Apply:
    """``apply``, whose images are convolved, pooled and normalised by our kernels."""

    def fast(params: Params, x: Tensor) -> Tensor:
        with _Diverted():
            return apply(params, x)

    return fast


class _Diverted(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # torch.func wants rules of its own for a Function; it is rarely used on a CPU's images.
        plain = torch._C._are_functorch_transforms_active()
        return (func if plain else _KERNELS.get(func, func))(*args, **(kwargs or {}))
