"""Outer objectives: what a net trained on the distilled set should do on real samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Objective = Callable[[Tensor, Tensor], Tensor]
"""(outputs (batch, n_outputs), y (batch,) or (batch, n_outputs)) -> scalar."""


def mean_over_nets(
    objective: Objective,
    outputs: Tensor,  # ([n_nets,] batch, n_classes)
    y: Tensor,  # (batch,)
) -> Tensor:
    """The objective of one net, or its mean over stacked nets."""
    nets = outputs if outputs.ndim > 2 else outputs[None]
    return torch.stack([objective(of_one, y) for of_one in nets]).mean()


def classification(
    logits: Tensor,  # (batch, n_classes)
    y: Tensor,  # (batch,), class indices
) -> Tensor:
    """Cross-entropy, mean over the batch."""
    return F.cross_entropy(logits, y)


def multilabel(
    logits: Tensor,  # (batch, n_labels)
    y: Tensor,  # (batch, n_labels), 1 where a sample has the label and 0 where not
) -> Tensor:
    """Cross-entropy of each label, summed, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, y, reduction="sum") / len(y)


def regression(
    outputs: Tensor,  # (batch, n_outputs)
    y: Tensor,  # (batch, n_outputs)
) -> Tensor:
    """Squared error, mean over the batch and its outputs."""
    return F.mse_loss(outputs, y)
