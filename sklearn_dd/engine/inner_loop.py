"""The inner loop: gradient descent on the distilled set, as pure functions.

Parameters are *stacked*: every tensor carries a leading dimension ``n_inits``, one slice for each
initialisation. A sum of losses over the initialisations has each one's own gradient as its
derivative, so that one reverse pass serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

Params = dict[str, Tensor]
"""Stacked parameters: name -> (n_inits, *shape)."""

Apply = Callable[[Params, Tensor], Tensor]
"""(params, x (batch, *sample_shape)) -> logits (n_inits, batch, n_classes)."""


def apply_together(module: nn.Module) -> Apply:
    """Apply ``module`` with the parameters of all initialisations in one pass."""

    def single(params: Params, x: Tensor) -> Tensor:
        return functional_call(module, params, (x,))

    stacked = vmap(single, in_dims=(0, None))

    def apply(params: Params, x: Tensor) -> Tensor:
        if len(next(iter(params.values()))) > 1:
            return stacked(params, x)
        # One net alone is faster without vmap's batched convolutions.
        return single({name: p[0] for name, p in params.items()}, x)[None]

    return apply


def apply_in_turn(module: nn.Module) -> Apply:
    """Apply ``module`` with each initialisation's parameters in turn, where vmap cannot go."""

    def apply(params: Params, x: Tensor) -> Tensor:
        nets = zip(*params.values(), strict=True)
        return torch.stack(
            [functional_call(module, dict(zip(params, net, strict=True)), (x,)) for net in nets]
        )

    return apply


Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (n_inits, batch, n_classes), y (batch, n_classes)) -> scalar, summed over the inits."""


def cross_entropy(
    logits: Tensor,  # (n_inits, batch, n_classes)
    y: Tensor,  # (batch, n_classes), class probabilities
) -> Tensor:
    """Cross-entropy, mean over the batch, summed over the initialisations."""
    return -(y * F.log_softmax(logits, dim=-1)).sum() / logits.shape[1]


def inner_gradient(
    apply: Apply,
    params: Params,
    x: Tensor,  # (batch, *sample_shape)
    y: Tensor,  # (batch, n_classes)
    *,
    loss: Loss = cross_entropy,
    create_graph: bool = False,
) -> tuple[Params, tuple[Tensor, ...]]:
    """Leaves that stand for ``params``, and the gradient of the inner loss at them."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        value = loss(apply(leaves, x), y)
    gradient = torch.autograd.grad(
        value, list(leaves.values()), create_graph=create_graph, materialize_grads=True
    )
    return leaves, gradient


def inner_step(
    apply: Apply,
    params: Params,
    x: Tensor,  # (batch, *sample_shape)
    y: Tensor,  # (batch, n_classes)
    lr: Tensor,  # ()
    *,
    loss: Loss = cross_entropy,
) -> Params:
    """One step of gradient descent, θ − η ∇ℓ(θ). No graph is kept."""
    leaves, gradient = inner_gradient(apply, params, x.detach(), y.detach(), loss=loss)
    return {
        name: p.detach() - lr.detach() * g
        for (name, p), g in zip(leaves.items(), gradient, strict=True)
    }


def unroll(
    apply: Apply,
    params: Params,
    x: Tensor,  # (n_steps, batch, *sample_shape)
    y: Tensor,  # (n_steps, batch, n_classes)
    lrs: Tensor,  # (n_epochs, n_steps)
    *,
    loss: Loss = cross_entropy,
) -> Iterator[Params]:
    """Yield θ_0, θ_1, … θ_T: step t trains on mini-batch t mod n_steps with step size lrs[t]."""
    yield params
    for t, lr in enumerate(lrs.detach().flatten()):
        k = t % len(x)
        params = inner_step(apply, params, x[k], y[k], lr, loss=loss)
        yield params
