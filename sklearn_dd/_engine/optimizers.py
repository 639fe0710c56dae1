"""Inner optimisers: how a gradient becomes a step of the student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from .carry import Carry, InnerLoss, Params, PullBack, Step, as_leaves
from .reverse_step import filled, record_descent, record_update, scaled_gradient


class Stepper(Protocol):
    """What takes the steps of the inner loop."""

    def step(self, loss: InnerLoss, carry: Carry, step: Step) -> Carry:
        """The carry after one step, without a graph. It may overwrite its argument."""
        ...

    def record(self, loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and the step's pull-back."""
        ...


class Optimizer(Stepper, Protocol):
    """How a gradient becomes a step."""

    def start(self, params: Params) -> Carry:
        """The carry before the first step."""
        ...

    def update(self, carry: Carry, gradient: Params, lr: torch.Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        ...


@dataclass(frozen=True)
class SGD:
    """Gradient descent, θ ← θ − η ∇ℓ(θ)."""

    def start(self, params: Params) -> Carry:
        """The parameters; gradient descent has no state."""
        return (params,)

    def update(self, carry: Carry, gradient: Params, lr: torch.Tensor) -> Carry:
        """One step along ``gradient``."""
        return ({name: p - lr * gradient[name] for name, p in carry[0].items()},)

    def step(self, loss: InnerLoss, carry: Carry, step: Step) -> Carry:
        """One step, in place: the parameters of a small student then stay in the cache."""
        gradient = scaled_gradient(loss, as_leaves(carry[0]), step)
        return (
            {
                name: p if g is None else p.sub_(g)
                for (name, p), g in zip(carry[0].items(), gradient, strict=True)
            },
        )

    def record(self, loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """One step, and its pull-back."""
        return record_descent(loss, carry, step)


class _WithState:
    """Base of optimisers that keep a state; their step is elementwise in gradient and state."""

    def update(self, carry: Carry, gradient: Params, lr: torch.Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        raise NotImplementedError

    def step(self, loss: InnerLoss, carry: Carry, step: Step) -> Carry:
        """One step."""
        x, y, lr = step
        params = as_leaves(carry[0])
        gradient = scaled_gradient(loss, params, (x, y, torch.ones_like(lr)))
        with torch.no_grad():
            return self.update(carry, filled(params, gradient), lr)

    def record(self, loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """One step, and its pull-back."""
        return record_update(self.update, loss, carry, step)


@dataclass(frozen=True)
class Momentum(_WithState):
    """Gradient descent with momentum, m ← μ m + ∇ℓ(θ), θ ← θ − η m (Polyak 1964).

    Parameters
    ----------
    momentum : float
        μ.
    """

    momentum: float = 0.9

    def start(self, params: Params) -> Carry:
        """The parameters and m = 0."""
        return params, _zeros(params)

    def update(self, carry: Carry, gradient: Params, lr: torch.Tensor) -> Carry:
        """One step along ``gradient``."""
        params, m = carry
        m = {name: self.momentum * m[name] + g for name, g in gradient.items()}
        return {name: p - lr * m[name] for name, p in params.items()}, m


@dataclass(frozen=True)
class Adam(_WithState):
    """Adam, θ ← θ − η m̂ / √(v̂ + ε²) (Kingma and Ba 2015).

    ε stands under the root, so that the step can be differentiated where the gradient is 0.

    Parameters
    ----------
    betas : tuple of float
        Decay of the means of the gradient and of its square.
    eps : float
        ε.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise ValueError(f"eps must be positive, got {self.eps!r}.")

    def start(self, params: Params) -> Carry:
        """The parameters, both means at 0, and the weight of that 0 in each mean."""
        p = next(iter(params.values()))
        return params, _zeros(params), _zeros(params), {"m": p.new_ones(()), "v": p.new_ones(())}

    def update(self, carry: Carry, gradient: Params, lr: torch.Tensor) -> Carry:
        """One step along ``gradient``."""
        params, m, v, rest = carry
        beta1, beta2 = self.betas
        m = {name: beta1 * m[name] + (1 - beta1) * g for name, g in gradient.items()}
        v = {name: beta2 * v[name] + (1 - beta2) * g * g for name, g in gradient.items()}
        rest = {"m": beta1 * rest["m"], "v": beta2 * rest["v"]}
        unbiased = (1 - rest["v"]).sqrt() / (1 - rest["m"])
        # √(v̂ + ε²) = √(v + ε² (1 − β₂ᵗ)) / √(1 − β₂ᵗ)
        floor = self.eps**2 * (1 - rest["v"])
        params = {
            name: p - lr * unbiased * m[name] / (v[name] + floor).sqrt()
            for name, p in params.items()
        }
        return params, m, v, rest


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(p) for name, p in params.items()}
