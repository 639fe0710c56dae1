"""Scores of students on real samples: accuracy, subset accuracy or R²."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._data import RealData
from ._engine import Params, StudentFn

Score = Callable[[Any, Params, RealData], Tensor]
"""(student, params of one student or of several, real samples) -> a score for each (n_inits,)."""


def accuracies(student: StudentFn, params: Params, real: RealData) -> Tensor:
    """Accuracy (n_inits,) on all of ``real`` of one student or of several, stacked."""
    return _share(student, params, real, lambda logits, y: logits.argmax(-1) == y)


def subset_accuracies(student: StudentFn, params: Params, real: RealData) -> Tensor:
    """Share (n_inits,) of the samples whose labels are all predicted right; y is (n, n_labels)."""
    return _share(student, params, real, lambda logits, y: ((logits > 0) == (y > 0)).all(-1))


def r2_scores(student: StudentFn, params: Params, real: RealData) -> Tensor:
    """R² (n_inits,) on all of ``real`` of one student or of several, stacked; y is (n, 1)."""
    residual: Tensor | float = 0.0
    with torch.no_grad():
        for (x, y), weights in zip(real.in_order(), real.weights_in_order(), strict=True):
            errors = (student.apply(params, x) - y).square().sum(-1).cpu().double()
            residual = residual + (errors * weights).sum(-1)
    y, weights = real.y[real.rows, 0].double(), torch.cat([*real.weights_in_order()])
    total = ((y - (weights * y).sum() / weights.sum()).square() * weights).sum()
    # For a constant y, the errors themselves say which student is better.
    return 1 - torch.as_tensor(residual).reshape(-1) / (total if total > 0 else 1)


def _share(
    student: StudentFn,
    params: Params,
    real: RealData,
    is_right: Callable[[Tensor, Tensor], Tensor],  # of a batch's outputs and y
) -> Tensor:
    """Share (n_inits,) of ``real`` that one student or several, stacked, predict right."""
    hits: Tensor | float = 0.0
    with torch.no_grad():
        for (x, y), weights in zip(real.in_order(), real.weights_in_order(), strict=True):
            outputs = student.apply(params, x)
            # A diverged student is right about nothing, although the argmax of NaN is class 0.
            right = is_right(outputs, y) & outputs.isfinite().all(-1)
            hits = hits + (right.cpu().double() * weights).sum(-1)
    return torch.as_tensor(hits).reshape(-1) / sum(w.sum() for w in real.weights_in_order())
