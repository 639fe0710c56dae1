"""Losses of the inner loop, and objectives of the outer loop.

An inner loss compares outputs with the labels of distilled samples, which may be any numbers. It is
summed over stacked students: the derivative of the sum is each student's own gradient, so that one
reverse pass serves all of them. An outer objective sees one student on a real batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs ([n_inits,] batch, n_outputs), y (batch, n_outputs)) -> scalar, summed over inits."""

Objective = Callable[[Tensor, Tensor], Tensor]
"""(outputs (batch, n_outputs), y (batch,) or (batch, n_outputs)) -> scalar."""


def cross_entropy(
    logits: Tensor,  # ([n_inits,] batch, n_classes)
    y: Tensor,  # (batch, n_classes), class probabilities or any numbers
) -> Tensor:
    """Cross-entropy, mean over the batch, summed over stacked students."""
    return (y * F.log_softmax(logits, dim=-1)).sum() * (-1 / logits.shape[-2])


def binary_cross_entropy(
    logits: Tensor,  # ([n_inits,] batch, n_labels)
    y: Tensor,  # (batch, n_labels), probabilities of each label or any numbers
) -> Tensor:
    """Cross-entropy summed over labels, mean over the batch, summed over stacked students."""
    return (F.softplus(logits) - y * logits).sum() * (1 / logits.shape[-2])


def mean_squared_error(
    outputs: Tensor,  # ([n_inits,] batch, n_outputs)
    y: Tensor,  # (batch, n_outputs)
) -> Tensor:
    """Squared error, mean over batch and outputs, summed over stacked students."""
    return (outputs - y).square().sum() * (1 / y.numel())


def classification(
    logits: Tensor,  # (batch, n_classes)
    y: Tensor,  # (batch,), class indices
) -> Tensor:
    """Cross-entropy, mean over the batch."""
    return F.cross_entropy(logits, y)


def multilabel(
    logits: Tensor,  # (batch, n_labels)
    y: Tensor,  # (batch, n_labels), 1 where a sample has the label, else 0
) -> Tensor:
    """Cross-entropy summed over labels, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, y, reduction="sum") / len(y)


def regression(
    outputs: Tensor,  # (batch, n_outputs)
    y: Tensor,  # (batch, n_outputs)
) -> Tensor:
    """Squared error, mean over batch and outputs."""
    return F.mse_loss(outputs, y)


def mean_over_students(
    objective: Objective,
    outputs: Tensor,  # ([n_inits,] batch, n_outputs)
    y: Tensor,  # (batch,) or (batch, n_outputs)
) -> Tensor:
    """The objective of one student, or its mean over stacked students."""
    stacked = outputs if outputs.ndim > 2 else outputs[None]
    return torch.stack([objective(of_one, y) for of_one in stacked]).mean()
