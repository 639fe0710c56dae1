"""Hypergradients: how the outer loss after training changes with the distilled set."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .inner_loop import Apply, Loss, Params, as_leaves, cross_entropy, inner_step, unroll
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
    """Exact reverse mode through all T steps, one step's graph at a time.

    The forward pass keeps the T parameter copies and no graph. The backward pass goes from θ_T
    to θ_0: it builds the graph of one step θ_{t+1} = Φ(θ_t, x̃, ỹ, η_t) anew and pulls the
    cotangent v = ∂L/∂θ_{t+1} back through it,

        v ← (∂Φ/∂θ)ᵀ v,   ∂x̃ ← ∂x̃ + (∂Φ/∂x̃)ᵀ v,   ∂ỹ ← ∂ỹ + (∂Φ/∂ỹ)ᵀ v,   ∂η_t = (∂Φ/∂η)ᵀ v.

    Memory is one step's graph and T copies of θ, not T graphs.

    Parameters
    ----------
    micro_batch : int or None
        The outer pass goes over slices of so many real samples, so that its graph stays small.
        The objective must then be a mean over samples. ``None`` takes the real batch at once.
    loss : callable
        The inner loss ℓ.
    """

    def __init__(self, micro_batch: int | None = None, loss: Loss = cross_entropy) -> None:
        self.micro_batch, self.loss = micro_batch, loss

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
        trajectory = list(unroll(apply, params, x, y, lrs, loss=self.loss))
        loss, cotangent = outer_gradient(
            apply, trajectory.pop(), objective, *real, micro_batch=self.micro_batch
        )
        dx, dy, dlrs = (torch.zeros_like(tensor, requires_grad=False) for tensor in (x, y, lrs))
        steps = lrs.detach().flatten()
        for t in reversed(range(len(steps))):
            k = t % len(x)
            leaves = as_leaves(trajectory.pop())
            batch = [tensor.detach().requires_grad_() for tensor in (x[k], y[k], steps[t])]
            after = inner_step(apply, leaves, *batch, loss=self.loss, create_graph=True)
            *cotangent, dx_k, dy_k, dlr = torch.autograd.grad(
                list(after.values()), [*leaves.values(), *batch], cotangent, materialize_grads=True
            )
            dx[k] += dx_k
            dy[k] += dy_k
            dlrs.view(-1)[t] = dlr
        return Hypergradient(loss, dx, dy, dlrs)


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
