"""Hypergradients: how the outer loss after training changes with the distilled set."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .inner_loop import Apply, Loss, Params, cross_entropy, inner_gradient, unroll
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
    r"""Exact reverse mode through all T steps, one step's graph at a time.

    The forward pass keeps the T parameter copies and no graph. The backward pass goes from θ_T
    to θ_0, builds the graph of one step anew and pulls the cotangent v of θ_{t+1} back through
    θ_{t+1} = θ_t − η g(θ_t, x̃, ỹ) with g = ∇_θ ℓ. With s = ⟨g, v⟩,

        v ← v − η ∂s/∂θ,   ∂x̃ ← ∂x̃ − η ∂s/∂x̃,   ∂ỹ ← ∂ỹ − η ∂s/∂ỹ,   ∂η_t = −s.

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
        x, y, lrs = x.detach(), y.detach(), lrs.detach()
        trajectory = list(unroll(apply, params, x, y, lrs, loss=self.loss))
        loss, cotangent = outer_gradient(
            apply, trajectory.pop(), objective, *real, micro_batch=self.micro_batch
        )
        dx, dy, dlrs = torch.zeros_like(x), torch.zeros_like(y), torch.zeros_like(lrs)
        for t in reversed(range(lrs.numel())):
            k, lr = t % len(x), lrs.view(-1)[t]
            s, (*dparams, dx_k, dy_k) = _pull_back(
                apply, trajectory.pop(), x[k], y[k], cotangent, self.loss
            )
            dx[k] -= lr * dx_k
            dy[k] -= lr * dy_k
            dlrs.view(-1)[t] = -s
            cotangent = tuple(v - lr * d for v, d in zip(cotangent, dparams, strict=True))
        return Hypergradient(loss, dx, dy, dlrs)


def _pull_back(
    apply: Apply,
    params: Params,
    x: Tensor,  # (batch, *sample_shape)
    y: Tensor,  # (batch, n_classes)
    cotangent: tuple[Tensor, ...],
    loss: Loss,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """s = ⟨∇_θ ℓ, v⟩ and its gradients for θ (one tensor a parameter), x̃ and ỹ."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    leaves, gradient = inner_gradient(apply, params, x, y, loss=loss, create_graph=True)
    s = torch.stack([(g.detach() * v).sum() for g, v in zip(gradient, cotangent, strict=True)])
    wanted = [*leaves.values(), x, y]
    return s.sum(), torch.autograd.grad(gradient, wanted, cotangent, materialize_grads=True)


def outer_gradient(
    apply: Apply,
    params: Params,
    objective: Objective,
    x: Tensor,  # (n, *sample_shape)
    y: Tensor,  # (n,)
    *,
    micro_batch: int | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The outer loss at θ_T, mean over the initialisations, and its gradient for θ_T."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
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
    return total, tuple(gradient)
