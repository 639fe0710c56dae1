"""2 × 2 pooling on a CPU by arithmetic on whole rows; torch's kernels branch at each pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from .convolution import Pixels

_aten: Any = torch.ops.aten


def max_pool2d(
    input: Tensor,
    kernel_size: Pixels,
    stride: Pixels | None = None,
    padding: Pixels = 0,
    dilation: Pixels = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Replace `torch.nn.functional.max_pool2d`."""
    # For small batches torch's kernel is faster. Pixel indices are computed in float32, which is
    # exact below 2²⁴.
    many = input.numel() >= 1 << 16 and input.shape[-2:].numel() < 1 << 24
    if many and _in_tiles(input, kernel_size, stride, padding, dilation) and not return_indices:
        return _Max.apply(input)
    # The overloads are too many for mypy.
    plain_max_pool2d: Any = F.max_pool2d
    return plain_max_pool2d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Pixels,
    stride: Pixels | None = None,
    padding: Pixels = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Replace `torch.nn.functional.avg_pool2d`."""
    many = input.numel() >= 1 << 12
    if many and _in_tiles(input, kernel_size, stride, padding) and divisor_override is None:
        return _Mean.apply(input)
    return F.avg_pool2d(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _in_tiles(
    x: Tensor, kernel_size: Pixels, stride: Pixels | None, padding: Pixels, dilation: Pixels = 1
) -> bool:
    """Whether the windows are 2 × 2 tiles that cover the image without overlap."""
    if stride is None or stride in ((), []):
        stride = kernel_size
    windows = (kernel_size, 2), (stride, 2), (padding, 0), (dilation, 1)
    tiles = all(size in (n, (n, n), [n, n]) for size, n in windows)
    even = x.ndim in (3, 4) and x.shape[-1] % 2 == x.shape[-2] % 2 == 0
    # A sum of four values can overflow in half precision. For other layouts torch is faster.
    return tiles and even and x.dtype in (torch.float32, torch.float64) and x.is_contiguous()


class _Max(Function):
    """The largest pixel of each tile; among equal ones, the first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        left, right = x[..., 0::2], x[..., 1::2]
        rows = torch.maximum(left, right)
        upper, lower = rows[..., 0::2, :], rows[..., 1::2, :]
        largest = torch.maximum(upper, lower)
        if not ctx.needs_input_grad[0]:
            return largest
        # Arithmetic on masks of 0 and 1 is faster than torch.where.
        is_right, is_lower = (right > left).float(), (lower > upper).float()
        height, width = x.shape[-2:]
        column = torch.lerp(is_right[..., 0::2, :], is_right[..., 1::2, :], is_lower)
        corner = torch.arange(0, width, 2) + torch.arange(0, height, 2)[:, None] * width
        index = column.add_(is_lower, alpha=width).add_(corner).long()
        ctx.save_for_backward(x, index)
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, index = ctx.saved_tensors
        return _aten.max_pool2d_with_indices_backward(
            gradient, x, [2, 2], [2, 2], [0, 0], [1, 1], False, index
        )


class _Mean(Function):
    """The mean of each tile."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = x[..., 0::2, :] + x[..., 1::2, :]
        return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Spread.apply(gradient)


class _Spread(Function):
    """A quarter of each value for each pixel of its tile: the transpose of `_Mean`."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        *front, height, width = y.shape
        quarter = y * 0.25
        rows = y.new_empty(*front, height, 2 * width)
        rows[..., 0::2] = rows[..., 1::2] = quarter
        x = y.new_empty(*front, 2 * height, 2 * width)
        x[..., 0::2, :] = x[..., 1::2, :] = rows
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Mean.apply(gradient)
