"""The inner loop: training on the distilled set, as pure functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from .optimizers import SGD, Carry, Optimizer, Params, Step

Apply = Callable[[Params, Tensor], Tensor]
"""(params, x (batch, *sample_shape)) -> logits or features (batch, n), stacked if params are."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (batch, n_classes), y (batch, n_classes)) -> scalar, summed over stacked nets.

A sum over nets has each one's own gradient as its derivative: one reverse pass serves them all.
"""


def pure(module: nn.Module) -> Apply:
    """``module`` as a function of its parameters, of one net or stacked for several."""
    return _pure(module, lambda logits: logits)


def _pure(module: nn.Module, read: Callable[[Tensor], Tensor]) -> Apply:
    name, p = next(iter(module.named_parameters()))
    ndim = p.ndim
    # Looking for tied weights at each call takes longer than a small net's pass.
    tied = len(list(module.parameters())) < len(
        list(module.named_parameters(remove_duplicate=False))
    )

    def alone(params: Params, x: Tensor) -> Tensor:
        return read(functional_call(module, params, (x,), tie_weights=tied))

    stacked = vmap(alone, in_dims=(0, None))

    def apply(params: Params, x: Tensor) -> Tensor:
        return stacked(params, x) if params[name].ndim > ndim else alone(params, x)

    return apply


def pure_features(module: nn.Module, x: Tensor) -> Apply | None:
    """What the last linear layer of ``module`` is given, as a function of the parameters.

    The layer is found by a run on ``x``: it is the one that returns the module's output. None where
    there is none.
    """
    returned: dict[nn.Module, Tensor] = {}
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    hooks = [
        layer.register_forward_hook(lambda layer, _, output: returned.update({layer: output}))
        for layer in linear
    ]
    with torch.no_grad():
        output = module(x)
    for hook in hooks:
        hook.remove()
    last = next((layer for layer in linear if returned.get(layer) is output), None)
    if last is None:
        return None
    given: dict[str, Tensor] = {}  # at the last of its calls, where there are several
    last.register_forward_pre_hook(lambda _, inputs: given.update({"it": inputs[0]}))
    return _pure(module, lambda _: given.pop("it").flatten(1))


def cross_entropy(
    logits: Tensor,  # ([n_inits,] batch, n_classes)
    y: Tensor,  # (batch, n_classes), class probabilities or any numbers
) -> Tensor:
    """Cross-entropy, mean over the batch, summed over stacked nets."""
    return (y * F.log_softmax(logits, dim=-1)).sum() * (-1 / logits.shape[-2])


def binary_cross_entropy(
    logits: Tensor,  # ([n_inits,] batch, n_labels)
    y: Tensor,  # (batch, n_labels), probabilities of each label or any numbers
) -> Tensor:
    """Cross-entropy of each label, summed, mean over the batch, summed over stacked nets."""
    return (F.softplus(logits) - y * logits).sum() * (1 / logits.shape[-2])


def mean_squared_error(
    outputs: Tensor,  # ([n_inits,] batch, n_outputs)
    y: Tensor,  # (batch, n_outputs)
) -> Tensor:
    """Squared error, mean over the batch and its outputs, summed over stacked nets."""
    return (outputs - y).square().sum() * (1 / y.numel())


@dataclass(frozen=True)
class Learner:
    """A network and how it learns.

    Parameters
    ----------
    apply : callable
        The network as a function of its parameters.
    optimizer : Optimizer
        What makes a step of a gradient; a `Traced` one is faster for many of the same shapes.
    loss : callable
        The inner loss ℓ.
    at_once : bool
        Whether several nets go through ``apply`` stacked, in one pass; else one after the other.
    features : callable or None
        The input of the network's last linear layer, as a function of its parameters; None where
        it does not end in one.
    """

    apply: Apply
    optimizer: Optimizer = field(default_factory=SGD)
    loss: Loss = cross_entropy
    at_once: bool = True
    features: Apply | None = None

    def groups(self, params: Params) -> list[Params]:
        """Stacked nets as they go through ``apply``: all of them, or each of them alone."""
        # One net alone is faster without vmap.
        nets = zip(*(p.unbind() for p in params.values()), strict=True)
        alone = [dict(zip(params, net, strict=True)) for net in nets]
        return [params] if self.at_once and len(alone) > 1 else alone

    def objective(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The inner loss at ``params``."""
        return self.loss(self.apply(params, x), y)


def schedule(
    x: Tensor,  # (n_steps, batch, *sample_shape)
    y: Tensor,  # (n_steps, batch, n_classes)
    lrs: Tensor,  # (n_epochs, n_steps)
) -> list[Step]:
    """The T = n_epochs · n_steps steps, without a graph; each epoch goes through all batches."""
    epochs = [zip(x.detach(), y.detach(), epoch, strict=True) for epoch in lrs.detach()]
    return [step for epoch in epochs for step in epoch]


def unroll(learner: Learner, carry: Carry, steps: Iterable[Step]) -> Iterator[Carry]:
    """Yield parameters and optimiser state before the first step and after each; no graph.

    What was yielded may be overwritten by the next step.
    """
    carry = tuple({name: p.clone() for name, p in part.items()} for part in carry)
    yield carry
    for step in steps:
        carry = learner.optimizer.step(learner.objective, carry, step)
        yield carry


def train(learner: Learner, carry: Carry, steps: Iterable[Step]) -> Carry:
    """Parameters and optimiser state after the last step; those on the way are let go."""
    return deque(unroll(learner, carry, steps), maxlen=1).pop()
