"""The reverse step: how a hypergradient goes back through one gradient step.

A step maps (θ, x̃, ỹ, η) to θ'. Its *pull-back* maps a cotangent v = ∂L/∂θ' to the derivatives of L
with respect to each input. For gradient descent, θ' = θ − g with g = η ∇ℓ(θ, x̃, ỹ),

    ∂L/∂θ = v − (∂g/∂θ)ᵀ v,    ∂L/∂x̃ = −(∂g/∂x̃)ᵀ v,    and likewise for ỹ and η.

The first contains the product of the Hessian of ℓ with v; no Hessian is formed. For momentum and
Adam the step is a function of parameters, state and gradient: the cotangent goes back through that
function first, then through the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from .carry import (
    Carry,
    Cotangent,
    InnerLoss,
    Params,
    PullBack,
    Step,
    StepCotangents,
    as_leaves,
    flat,
)

Update = Callable[[Carry, Params, Tensor], Carry]
"""(carry, gradient, step size) -> the carry after a step; differentiable."""


def record_descent(loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
    """One step of gradient descent, and its pull-back."""
    params, (x, y, lr) = as_leaves(carry[0]), leaves(step)
    gradient = scaled_gradient(loss, params, (x, y, lr), create_graph=True)
    with torch.no_grad():
        after = {
            name: p.detach() if g is None else p - g
            for (name, p), g in zip(params.items(), gradient, strict=True)
        }
    # The edges hold the graph. The gradient itself is as large as θ and can be freed.
    graph = edges(gradient)
    del gradient

    def pull_back(v: Cotangent) -> StepCotangents:
        *d, dx, dy, dlr = vjp(graph, [*params.values(), x, y, lr], v)
        v = [a if b is None else a.sub_(b) for a, b in zip(v, d, strict=True)]
        return StepCotangents(v, *(None if g is None else -g for g in (dx, dy, dlr)))

    return (after,), pull_back


def record_update(
    update: Update, loss: InnerLoss, carry: Carry, step: Step
) -> tuple[Carry, PullBack]:
    """One step of an optimiser with state, and its pull-back."""
    params, (x, y, lr) = as_leaves(carry[0]), leaves(step)
    gradient = scaled_gradient(loss, params, (x, y, torch.ones_like(lr)), create_graph=True)
    graph = edges(gradient)
    before = tuple(as_leaves(part) for part in carry)
    slope = as_leaves(filled(params, gradient))
    with torch.enable_grad():
        after = update(before, slope, lr)
    del gradient

    def pull_back(v: Cotangent) -> StepCotangents:
        inputs = [*flat(before), lr, *slope.values()]
        pulled = torch.autograd.grad(flat(after), inputs, v, materialize_grads=True)
        n = len(flat(before))
        v, dlr, slopes = list(pulled[:n]), pulled[n], list(pulled[n + 1 :])
        *d, dx, dy = vjp(graph, [*params.values(), x, y], slopes)
        for a, b in zip(v, d, strict=False):  # the state comes after the parameters
            if b is not None:
                a.add_(b)
        return StepCotangents(v, dx, dy, dlr)

    return tuple({name: p.detach() for name, p in part.items()} for part in after), pull_back


def scaled_gradient(
    loss: InnerLoss, params: Params, step: Step, *, create_graph: bool = False
) -> Sequence[Tensor | None]:
    """η ∇ℓ for each parameter; None for a parameter that does not enter the loss.

    η multiplies the loss, so that the factor η and its own derivative cost next to nothing.
    """
    x, y, lr = step
    with torch.enable_grad():
        value = lr * loss(params, x, y)
    inputs = list(params.values())
    return torch.autograd.grad(value, inputs, create_graph=create_graph, allow_unused=True)


def filled(params: Params, gradient: Sequence[Tensor | None]) -> Params:
    """The gradient by name, with zeros in place of None."""
    return {
        name: torch.zeros_like(p) if g is None else g.detach()
        for (name, p), g in zip(params.items(), gradient, strict=True)
    }


def leaves(step: Step) -> Step:
    x, y, lr = (part.detach().requires_grad_() for part in step)
    return x, y, lr


def edges(gradient: Sequence[Tensor | None]) -> list[GradientEdge | None]:
    """Where the graph of each gradient begins; None where it is constant."""
    return [get_gradient_edge(g) if g is not None and g.requires_grad else None for g in gradient]


def vjp(
    edges: Sequence[GradientEdge | None], inputs: Sequence[Tensor], v: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Σ (∂ edge / ∂ input)ᵀ v for each input; None where that is 0."""
    used = [(edge, c) for edge, c in zip(edges, v, strict=True) if edge is not None]
    if not used:
        return [None] * len(inputs)
    return torch.autograd.grad(
        [edge for edge, _ in used], inputs, [c for _, c in used], allow_unused=True
    )
