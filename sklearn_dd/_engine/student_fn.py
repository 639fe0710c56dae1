"""A student as pure functions of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .carry import Carry, Params, PullBack, Step
from .losses import Loss, cross_entropy
from .optimizers import SGD, Optimizer, Stepper

ConvNd = (
    nn.Conv1d | nn.Conv2d | nn.Conv3d
    | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
)  # fmt: skip

Apply = Callable[[Params, Tensor], Tensor]
"""(params, x (batch, *sample_shape)) -> outputs or features (batch, n), stacked if params are."""


class FirstLayer(NamedTuple):
    """The linear layer that a student begins with; see ``fast/span.py``.

    Attributes
    ----------
    weight : str
        Name of its weights.
    bias : str or None
        Name of its bias.
    in_span : StudentFn
        The student that trains in the span of the samples.
    """

    weight: str
    bias: str | None
    in_span: StudentFn


@dataclass(frozen=True)
class StudentFn:
    """A student as the engine sees it: a function of its parameters, and how it learns.

    Parameters
    ----------
    apply : callable
        The outputs as a function of the parameters.
    optimizer : Optimizer
        How a gradient becomes a step.
    loss : callable
        The inner loss ℓ.
    stackable : bool
        Whether several students go through ``apply`` stacked, in one pass, or one by one.
    features : callable or None
        The input of the student's last linear layer as a function of the parameters; None where
        the student does not end in a linear layer.
    accelerated : Stepper or None
        Takes the optimiser's steps in its place, with equal results; see ``fast/tracing.py``.
    first : FirstLayer or None
        The linear layer that the student begins with; None where it begins with another layer, or
        where its optimiser leaves the span of the samples.
    """

    apply: Apply
    optimizer: Optimizer = field(default_factory=SGD)
    loss: Loss = cross_entropy
    stackable: bool = True
    features: Apply | None = None
    accelerated: Stepper | None = None
    first: FirstLayer | None = None

    share: ClassVar[float] = 1.0

    def groups(self, params: Params) -> list[Params]:
        """Stacked parameters as they go through ``apply``: all at once, or one by one."""
        # A single student is faster without vmap.
        singles = unstacked(params)
        return [params] if self.stackable and len(singles) > 1 else singles

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The inner loss at ``params``."""
        return self.loss(self.apply(params, x), y)

    def step(self, carry: Carry, step: Step) -> Carry:
        """The carry after one step, without a graph. It may overwrite its argument."""
        return (self.accelerated or self.optimizer).step(self.inner_loss, carry, step)

    def record(self, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and the step's pull-back."""
        return (self.accelerated or self.optimizer).record(self.inner_loss, carry, step)


def unstacked(params: Params) -> list[Params]:
    """The parameters of each student."""
    singles = zip(*(p.unbind() for p in params.values()), strict=True)
    return [dict(zip(params, values, strict=True)) for values in singles]


def pure(module: nn.Module) -> Apply:
    """``module`` as a function of its parameters, for one student or for several, stacked."""
    return _pure(module, lambda outputs: outputs)


def pure_features(module: nn.Module, x: Tensor) -> Apply | None:
    """The input of the last linear layer of ``module``, as a function of the parameters.

    A run on ``x`` finds the layer: it is the one whose output is the module's output. None where
    no linear layer is.
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
    inputs: list[Tensor] = []  # of the last layer, one for each of its calls
    last.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))

    def last_input(_: Tensor) -> Tensor:
        features = inputs[-1].flatten(1)
        inputs.clear()
        return features

    return _pure(module, last_input)


def _pure(module: nn.Module, read: Callable[[Tensor], Tensor]) -> Apply:
    name, p = next(iter(module.named_parameters()))
    ndim = p.ndim
    # Looking for tied weights at each call would take longer than a small student's pass.
    tied = len(list(module.parameters())) < len(
        list(module.named_parameters(remove_duplicate=False))
    )

    def single(params: Params, x: Tensor) -> Tensor:
        return read(functional_call(module, params, (x,), tie_weights=tied))

    stacked = vmap(single, in_dims=(0, None))

    def apply(params: Params, x: Tensor) -> Tensor:
        return stacked(params, x) if params[name].ndim > ndim else single(params, x)

    return apply
