"""The outer pass: the objective of trained students on a real batch, and its gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..carry import Params, as_leaves
from ..losses import Objective, mean_over_students
from ..student_fn import StudentFn


def outer_gradient(
    student: StudentFn,
    params: Params,
    objective: Objective,
    x: Tensor,  # (n, *sample_shape)
    y: Tensor,  # (n,) or (n, n_outputs)
    *,
    micro_batch: int | None = None,
    dtype: torch.dtype | None = None,
    dx: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The outer loss at ``params``, mean over stacked students, and its gradient.

    Where ``dx`` is given, the gradient with respect to ``x`` is added to it.
    """
    leaves = as_leaves(params)
    total = x.new_zeros(())
    gradient = [torch.zeros_like(p) for p in leaves.values()]
    n_parts = math.ceil(len(x) / (micro_batch or len(x)))
    parts = x.tensor_split(n_parts), y.tensor_split(n_parts)
    sinks = [] if dx is None else list(dx.tensor_split(n_parts))
    for k, (x_part, y_part) in enumerate(zip(*parts, strict=True)):
        x_part = x_part.detach().requires_grad_(dx is not None)
        inputs = [*leaves.values(), *([] if dx is None else [x_part])]
        with torch.enable_grad():
            with torch.autocast(x.device.type, dtype, enabled=dtype is not None):
                outputs = student.apply(leaves, x_part)
            loss = mean_over_students(objective, outputs.to(x.dtype), y_part)
        share = len(x_part) / len(x)
        part = torch.autograd.grad(loss, inputs, materialize_grads=True)
        for g, d in zip([*gradient, *sinks[k : k + 1]], part, strict=True):
            g.add_(d, alpha=share)
        total += share * loss.detach()
    return total, gradient
