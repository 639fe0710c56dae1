"""Every private name of torch that this package uses, in one place.

Tested with torch 2.13. A release that lacks one of those that only acceleration needs turns that
piece of acceleration off; the counts of a fit then say so (``acceleration_``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.conv import _ConvNd as ConvNd

__all__ = ["TESTED_WITH", "ConvNd", "OpOverload", "fake_graph", "functorch_is_active"]

TESTED_WITH = ("2.13",)

_aten: Any = torch.ops.aten


def fake_graph(function: Any, *inputs: torch.Tensor) -> fx.GraphModule:
    """The operations of ``function``, traced with tensors that have no values."""
    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


def functorch_is_active() -> bool:
    """Whether a transformation of torch.func, such as vmap, is running."""
    return torch._C._are_functorch_transforms_active()


def schema(operation: OpOverload) -> Any:
    """The signature of an operation of ATen."""
    return operation._schema


def input_gradient_of_few_channels(
    gradient: torch.Tensor,
    weight: torch.Tensor,
    shape: torch.Size,
    stride: list[int],
    padding: list[int],
) -> torch.Tensor:
    """The gradient of a convolution for images of few channels, without padding them to sixteen."""
    # Fake tensors have no rule for this kernel, so that tracing runs it on real ones.
    x, _, _ = _aten._slow_conv2d_backward.output_mask(
        gradient, gradient.new_empty(shape), weight, weight.shape[2:], stride, padding,
        [True, False, False],
    )  # fmt: skip
    return x


UNSAFE_VIEW = _aten._unsafe_view.default
