"""Local response norm as sums of a few slices, where torch pools in three dimensions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """As `torch.nn.functional.local_response_norm`."""
    margins = [0, 0] * (input.ndim - 2) + [size // 2, (size - 1) // 2]
    squares = F.pad(input.square(), margins)
    first, *others = (squares.narrow(1, i, input.shape[1]) for i in range(size))
    total = sum(others, first)
    return input * (k + total * (alpha / size)).pow(-beta)
