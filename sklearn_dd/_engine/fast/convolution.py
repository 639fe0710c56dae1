"""2-D convolutions on a CPU whose derivatives of every order use fast kernels.

A convolution without bias is linear in its images and in its weights. So are its two derivatives:

    y = convolve(x, w),    x̄ = images(ȳ, w),    w̄ = weights(x, ȳ).

The derivatives of each of these three functions are the other two, so they suffice for all orders.

torch is slow here for two reasons. Its second derivatives are convolutions with batch and channels
exchanged, which are slow for large batches. And its gradient with respect to images pads their
channels to a block of sixteen, even if they have few.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from ..private_torch import input_gradient_of_few_channels

Pixels = int | list[int] | tuple[int, ...]

_aten: Any = torch.ops.aten
_ORDERS = torch.contiguous_format, torch.channels_last
# Up to this number of channels, the plain kernel is faster than padding to sixteen.
_FEW = 4


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pixels = 1,
    padding: Pixels | str = 0,
    dilation: Pixels = 1,
    groups: int = 1,
) -> Any:
    """Replace `torch.nn.functional.conv2d`."""
    plain = groups == 1 and dilation in (1, (1, 1), [1, 1]) and not isinstance(padding, str)
    if plain and _is_supported(input):
        return _Convolve.apply(input, weight, bias, _pair(stride), _pair(padding))
    # Padding is a size in one overload and a string in another, which mypy cannot resolve.
    plain_conv2d: Any = F.conv2d
    return plain_conv2d(input, weight, bias, stride, padding, dilation, groups)


def _is_supported(x: Any) -> bool:
    """Whether the functions below support these images; torch handles all others."""
    if not isinstance(x, Tensor) or torch.is_autocast_enabled("cpu"):
        return False
    exact = x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu"
    return exact and x.ndim == 4 and any(x.is_contiguous(memory_format=o) for o in _ORDERS)


def _pair(size: Any) -> list[Any]:
    sizes = [*size] if isinstance(size, list | tuple) else [size]
    return 2 * sizes if len(sizes) == 1 else sizes


class _Convolve(Function):
    """Outputs from images (n, channels, height, width) and weights."""

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
        of_images, of_weights, of_bias = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or (of_images and x.shape[1] <= _FEW):
            dx = _Images.apply(g, w, x.shape, *ctx.how) if of_images else None
            dw = _Weights.apply(x, g, w.shape, *ctx.how) if of_weights else None
        else:  # nothing differentiates them further: one call of torch takes less time than two
            mask = [of_images, of_weights, False]
            dx, dw, _ = _aten.convolution_backward(
                g, x, w, None, *ctx.how, [1, 1], False, [0, 0], 1, mask
            )
        return dx, dw, g.sum((0, 2, 3)) if of_bias else None, None, None


class _Images(Function):
    """Gradient with respect to the images, from that of the outputs and the weights."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, w: Tensor, shape: Size, stride: list[int], padding: list[int]
    ) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.how = stride, padding
        if shape[1] > _FEW:
            return conv2d_input(shape, w, g, stride, padding)
        return input_gradient_of_few_channels(g, w, shape, stride, padding)

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
    """Gradient with respect to the weights, from the images and that of the outputs."""

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
