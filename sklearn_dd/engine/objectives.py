"""Outer objectives: what a net trained on the distilled set should do on real samples."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

Objective = Callable[[Tensor, Tensor], Tensor]
"""(logits (batch, n_classes), y (batch,)) -> scalar."""


def classification(
    logits: Tensor,  # (batch, n_classes)
    y: Tensor,  # (batch,), class indices
) -> Tensor:
    """Cross-entropy, mean over the batch."""
    return F.cross_entropy(logits, y)
