"""Hypergradients: how the outer loss after training changes with the distilled set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .inner_loop import Apply, Loss, Params, as_leaves, cross_entropy, schedule, train
from .objectives import Objective


class Hypergradient(NamedTuple):
    """The outer loss, mean over the initialisations, and its gradients."""

    loss: Tensor  # ()
    x: Tensor  # (n_steps, batch, *sample_shape)
    y: Tensor  # (n_steps, batch, n_classes)
    lrs: Tensor  # (n_epochs, n_steps)


class Estimator(Protocol):
    """How one differentiates through training: an object, so that methods can be swapped."""

    def __call__(
        self,
        apply: Apply,
        params: Params,
        x: Tensor,
        y: Tensor,
        lrs: Tensor,
        objective: Objective,
        real: tuple[Tensor, Tensor],
    ) -> Hypergradient: ...


class Unrolled:
    """Exact reverse mode through all T steps, one segment's graph at a time.

    The forward pass keeps no graph, and of θ_0 … θ_T only the parameters at the start of each
    segment of S steps. The backward pass takes the segments from the last to the first: it builds
    the graph of one, θ_{t+S} = Φ(θ_t, x̃, ỹ, η), anew and pulls the cotangent v = ∂L/∂θ_{t+S} back
    through it,

        v ← (∂Φ/∂θ)ᵀ v,   ∂x̃ ← ∂x̃ + (∂Φ/∂x̃)ᵀ v,   ∂ỹ ← ∂ỹ + (∂Φ/∂ỹ)ᵀ v,   ∂η ← (∂Φ/∂η)ᵀ v.

    Memory is T / S copies of θ and the graphs of S steps, not of T. S = 1 rebuilds one step's graph
    at a time; about √T needs the least of both together, and the last segment is built only once.

    Parameters
    ----------
    segment : int or None
        S; ``None`` takes √T.
    micro_batch : int or None
        The outer pass goes over slices of so many real samples, so that its graph stays small.
        The objective must then be a mean over samples. ``None`` takes the real batch at once.
    loss : callable
        The inner loss ℓ. The students of a distiller train with the default, cross-entropy.
    """

    def __init__(
        self,
        segment: int | None = None,
        micro_batch: int | None = None,
        loss: Loss = cross_entropy,
    ) -> None:
        self.segment, self.micro_batch, self.loss = segment, micro_batch, loss

    def __call__(
        self,
        apply: Apply,
        params: Params,
        x: Tensor,  # (n_steps, batch, *sample_shape)
        y: Tensor,  # (n_steps, batch, n_classes)
        lrs: Tensor,  # (n_epochs, n_steps)
        objective: Objective,
        real: tuple[Tensor, Tensor],  # (n, *sample_shape), (n,)
    ) -> Hypergradient:
        xs, ys, etas = (_leaves(tensor) for tensor in (x, y, lrs.flatten()))
        steps = schedule(xs, ys, etas)
        size = self.segment or math.isqrt(len(steps) - 1) + 1
        segments = [steps[i : i + size] for i in range(0, len(steps), size)]

        checkpoints = [params]
        for segment in segments[:-1]:
            checkpoints.append(train(apply, checkpoints[-1], segment, loss=self.loss))
        loss, cotangent = x.new_empty(()), list[Tensor]()
        for segment in reversed(segments):
            leaves = as_leaves(checkpoints.pop())
            last = train(apply, leaves, segment, loss=self.loss, create_graph=True)
            if not cotangent:  # θ_T is reached
                loss, cotangent = outer_gradient(
                    apply, last, objective, *real, micro_batch=self.micro_batch
                )
            torch.autograd.backward(list(last.values()), cotangent)
            cotangent = _gradients(leaves.values())
        dx, dy, detas = (torch.stack(_gradients(group)) for group in (xs, ys, etas))
        return Hypergradient(loss, dx, dy, detas.view(lrs.shape))


def _leaves(stacked: Tensor) -> list[Tensor]:
    """The slices of a tensor along its first dimension, as tensors to differentiate for."""
    return [part.requires_grad_() for part in stacked.detach().unbind()]


def _gradients(leaves: Iterable[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in leaves]


def outer_gradient(
    apply: Apply,
    params: Params,
    objective: Objective,
    x: Tensor,  # (n, *sample_shape)
    y: Tensor,  # (n,)
    *,
    micro_batch: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The outer loss at θ_T, mean over the initialisations, and its gradient for θ_T."""
    leaves = as_leaves(params)
    total = x.new_zeros(())
    gradient = [torch.zeros_like(p) for p in leaves.values()]
    size = micro_batch or len(x)
    for x_part, y_part in zip(x.split(size), y.split(size), strict=True):
        with torch.enable_grad():
            logits = apply(leaves, x_part)
            loss = torch.stack([objective(of_one, y_part) for of_one in logits]).mean()
        share = len(x_part) / len(x)
        part = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        for g, d in zip(gradient, part, strict=True):
            g.add_(d, alpha=share)
        total += share * loss.detach()
    return total, gradient
