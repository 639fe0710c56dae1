"""The inner loop: gradient descent on the distilled set, as pure functions.

Parameters are *stacked*: every tensor carries a leading dimension ``n_inits``, one slice for each
initialisation. A sum of losses over the initialisations has each one's own gradient as its
derivative, so that one reverse pass serves them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

Params = dict[str, Tensor]
"""Stacked parameters: name -> (n_inits, *shape)."""

Apply = Callable[[Params, Tensor], Tensor]
"""(params, x (batch, *sample_shape)) -> logits (n_inits, batch, n_classes)."""


def apply_alone(module: nn.Module) -> Apply:
    """Apply ``module`` with the parameters of one net, unstacked."""
    # Looking for tied weights at each call takes longer than a small net's pass.
    tied = len(list(module.parameters())) < len(
        list(module.named_parameters(remove_duplicate=False))
    )

    def apply(params: Params, x: Tensor) -> Tensor:
        return functional_call(module, params, (x,), tie_weights=tied)

    return apply


def apply_together(module: nn.Module) -> Apply:
    """Apply ``module`` with the parameters of all initialisations in one pass."""
    alone = apply_alone(module)
    stacked = vmap(alone, in_dims=(0, None))

    def apply(params: Params, x: Tensor) -> Tensor:
        if len(next(iter(params.values()))) > 1:
            return stacked(params, x)
        # One net alone is faster without vmap.
        return alone({name: p.squeeze(0) for name, p in params.items()}, x).unsqueeze(0)

    return apply


def apply_in_turn(module: nn.Module) -> Apply:
    """Apply ``module`` with each initialisation's parameters in turn, where vmap cannot go."""

    alone = apply_alone(module)

    def apply(params: Params, x: Tensor) -> Tensor:
        nets = zip(*(p.unbind() for p in params.values()), strict=True)
        return torch.stack([alone(dict(zip(params, net, strict=True)), x) for net in nets])

    return apply


Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (n_inits, batch, n_classes), y (batch, n_classes)) -> scalar, summed over the inits."""


def cross_entropy(
    logits: Tensor,  # (n_inits, batch, n_classes)
    y: Tensor,  # (batch, n_classes), class probabilities
) -> Tensor:
    """Cross-entropy, mean over the batch, summed over the initialisations."""
    return (y * F.log_softmax(logits, dim=-1)).sum() * (-1 / logits.shape[1])


def as_leaves(params: Params) -> Params:
    """The same values, as tensors to differentiate for."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


Step = tuple[Tensor, Tensor, Tensor]
"""x (batch, *sample_shape), y (batch, n_classes) and the step size () of one gradient step."""


def schedule(
    x: Sequence[Tensor],  # n_steps of (batch, *sample_shape)
    y: Sequence[Tensor],  # n_steps of (batch, n_classes)
    lrs: Sequence[Tensor],  # T of ()
) -> list[Step]:
    """The T steps: step t trains on mini-batch t mod n_steps with step size lrs[t]."""
    return [(x[t % len(x)], y[t % len(x)], lr) for t, lr in enumerate(lrs)]


def inner_step(
    apply: Apply,
    params: Params,
    step: Step,
    *,
    loss: Loss = cross_entropy,
    create_graph: bool = False,
) -> Params:
    """One step of gradient descent, θ − η ∇ℓ(θ), itself differentiable if ``create_graph``."""
    x, y, lr = step
    with torch.enable_grad():
        value = loss(apply(params, x), y)
    gradient = torch.autograd.grad(
        value, list(params.values()), create_graph=create_graph, materialize_grads=True
    )
    with torch.set_grad_enabled(create_graph):
        return {
            name: torch.addcmul(p, g, lr, value=-1)
            for (name, p), g in zip(params.items(), gradient, strict=True)
        }


def unroll(
    apply: Apply,
    params: Params,
    steps: Sequence[Step],
    *,
    loss: Loss = cross_entropy,
    create_graph: bool = False,
) -> Iterator[Params]:
    """Yield the parameters before the first step and after each."""
    yield params
    for step in steps:
        if not create_graph:
            params = as_leaves(params)
        params = inner_step(apply, params, step, loss=loss, create_graph=create_graph)
        yield params


def train(
    apply: Apply,
    params: Params,
    steps: Sequence[Step],
    *,
    loss: Loss = cross_entropy,
    create_graph: bool = False,
) -> Params:
    """The parameters after the last step; those on the way are let go."""
    nets = unroll(apply, params, steps, loss=loss, create_graph=create_graph)
    return deque(nets, maxlen=1).pop()
