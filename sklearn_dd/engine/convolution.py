"""2-D convolutions on a CPU whose derivatives of every order take fast kernels.

A convolution without bias is linear in each of its arguments, images and weights, and so are its
two derivatives. The derivatives of each of the three are the other two, so that these are enough
for all orders:

    y = convolve(x, w),    x̄ = images(ȳ, w),    w̄ = weights(x, ȳ).

torch's second derivatives are convolutions with batch and channels exchanged, which are slow for
large batches; and its gradient for images of few channels pads them to a block of sixteen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

Pixels = int | list[int] | tuple[int, ...]

_aten: Any = torch.ops.aten
_ORDERS = torch.contiguous_format, torch.channels_last
_FEW = 4  # channels, up to which a product and sums of its rows take less time than the padding


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pixels = 1,
    padding: Pixels | str = 0,
    dilation: Pixels = 1,
    groups: int = 1,
) -> Any:
    """As `torch.nn.functional.conv2d`."""
    plain = groups == 1 and dilation in (1, (1, 1), [1, 1]) and not isinstance(padding, str)
    if plain and _is_ours(input):
        return _Convolve.apply(input, weight, bias, _pair(stride), _pair(padding))
    # Its padding is a size in one overload, and a word in another.
    theirs: Any = F.conv2d
    return theirs(input, weight, bias, stride, padding, dilation, groups)


def _is_ours(x: Any) -> bool:
    """Whether the functions below take these images; all others are left to torch."""
    if not isinstance(x, Tensor) or torch.is_autocast_enabled("cpu"):
        return False
    exact = x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu"
    return exact and x.ndim == 4 and any(x.is_contiguous(memory_format=o) for o in _ORDERS)


def _pair(size: Any) -> list[Any]:
    sizes = [*size] if isinstance(size, list | tuple) else [size]
    return 2 * sizes if len(sizes) == 1 else sizes


class _Convolve(Function):
    """Images (n, channels, height, width) and weights -> outputs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, stride: list[int], padding: list[int]
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.how = stride, padding
        return F.conv2d(x, w, b, stride, padding)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        return (
            _Images.apply(g, w, x.shape, *ctx.how) if ctx.needs_input_grad[0] else None,
            _Weights.apply(x, g, w.shape, *ctx.how) if ctx.needs_input_grad[1] else None,
            g.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None,
            None,
            None,
        )


class _Images(Function):
    """Gradients for the outputs, and weights -> gradients for the images."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, w: Tensor, shape: Size, stride: list[int], padding: list[int]
    ) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.how = stride, padding
        if shape[1] > _FEW:
            return conv2d_input(shape, w, g, stride, padding)
        # Fake tensors have no rule for this kernel: tracing runs it on real ones in their place.
        x, _, _ = _aten._slow_conv2d_backward.output_mask(
            g, g.new_empty(shape), w, w.shape[2:], stride, padding, [True, False, False]
        )
        return x

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        g, w = ctx.saved_tensors
        return (
            _Convolve.apply(v, w, None, *ctx.how) if ctx.needs_input_grad[0] else None,
            _Weights.apply(v, g, w.shape, *ctx.how) if ctx.needs_input_grad[1] else None,
            None,
            None,
            None,
        )


class _Weights(Function):
    """Images, and gradients for the outputs -> gradients for the weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, g: Tensor, shape: Size, stride: list[int], padding: list[int]
    ) -> Tensor:
        ctx.save_for_backward(x, g)
        ctx.how = stride, padding
        return conv2d_weight(x, shape, g, stride, padding)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        x, g = ctx.saved_tensors
        return (
            _Images.apply(g, v, x.shape, *ctx.how) if ctx.needs_input_grad[0] else None,
            _Convolve.apply(x, v, None, *ctx.how) if ctx.needs_input_grad[1] else None,
            None,
            None,
            None,
        )
