"""Inner optimisers: pure transitions of parameters and state, and their pull-backs.

A *carry* is what passes from one step to the next: the parameters first, then the optimiser's
state. A *cotangent* holds the derivative of the outer loss for each tensor of a carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

Params = dict[str, Tensor]
"""Parameters of one net, name -> shape; or of several, stacked, name -> (n_inits, *shape)."""

Carry = tuple[Params, ...]
"""Parameters, then the optimiser's state."""

Step = tuple[Tensor, Tensor, Tensor]
"""x (batch, *sample_shape), y (batch, n_classes) and the step size () of one gradient step."""

Objective = Callable[[Params, Tensor, Tensor], Tensor]
"""(params, x, y) -> the inner loss."""

Cotangent = list[Tensor]
"""One tensor for each of a carry, in its order."""


class Pulled(NamedTuple):
    """A cotangent pulled back through one step."""

    carry: Cotangent  # for the carry before the step
    x: Tensor | None  # for the mini-batch, its labels and the step size; None stands for 0
    y: Tensor | None
    lr: Tensor | None


PullBack = Callable[[Cotangent], Pulled]
"""The cotangent after a step -> before it. It may change its argument, and is called once."""


class Optimizer(Protocol):
    """How a gradient becomes a step."""

    def start(self, params: Params) -> Carry:
        """The carry before the first step."""
        ...

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        ...

    def step(self, objective: Objective, carry: Carry, step: Step) -> Carry:
        """The carry after one step; no graph. It may overwrite its argument."""
        ...

    def record(self, objective: Objective, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and how a cotangent goes back through it."""
        ...


@dataclass(frozen=True)
class SGD:
    """Gradient descent, θ ← θ − η ∇ℓ(θ)."""

    def start(self, params: Params) -> Carry:
        """The parameters: there is no state."""
        return (params,)

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """One step along ``gradient``."""
        return ({name: p - lr * gradient[name] for name, p in carry[0].items()},)

    def step(self, objective: Objective, carry: Carry, step: Step) -> Carry:
        """One step, in place: a small net's parameters then stay in the cache."""
        gradient = _gradient(objective, as_leaves(carry[0]), step)
        return (
            {
                name: p if g is None else p.sub_(g)
                for (name, p), g in zip(carry[0].items(), gradient, strict=True)
            },
        )

    def record(self, objective: Objective, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """One step, and v ↦ v − (∂ η∇ℓ/∂θ)ᵀ v with the like for x̃, ỹ and η."""
        params, (x, y, lr) = as_leaves(carry[0]), _leaves(step)
        gradient = _gradient(objective, params, (x, y, lr), create_graph=True)
        after = _descend(params, gradient)
        # The graph is held by its edges: the gradient itself, as large as θ, can go.
        edges = _edges(gradient)
        del gradient

        def pull_back(v: Cotangent) -> Pulled:
            inputs = [*params.values(), x, y, lr]
            *d, dx, dy, dlr = _vjp(edges, inputs, v)
            return Pulled(_subtract(v, d), *(None if g is None else -g for g in (dx, dy, dlr)))

        return (after,), pull_back


class _WithState:
    """An optimiser whose step is elementwise in gradient and state."""

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        raise NotImplementedError

    def step(self, objective: Objective, carry: Carry, step: Step) -> Carry:
        """One step."""
        x, y, lr = step
        params = as_leaves(carry[0])
        gradient = _gradient(objective, params, (x, y, torch.ones_like(lr)))
        with torch.no_grad():
            return self.update(carry, _filled(params, gradient), lr)

    def record(self, objective: Objective, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """One step, and its pull-back: through the update first, then through the gradient."""
        params, (x, y, lr) = as_leaves(carry[0]), _leaves(step)
        gradient = _gradient(objective, params, (x, y, torch.ones_like(lr)), create_graph=True)
        edges = _edges(gradient)
        before = tuple(as_leaves(part) for part in carry)
        slope = as_leaves(_filled(params, gradient))
        with torch.enable_grad():
            after = self.update(before, slope, lr)
        del gradient

        def pull_back(v: Cotangent) -> Pulled:
            inputs = [*flat(before), lr, *slope.values()]
            outputs = flat(after)
            pulled = torch.autograd.grad(outputs, inputs, v, materialize_grads=True)
            n = len(flat(before))
            v, dlr, slopes = list(pulled[:n]), pulled[n], list(pulled[n + 1 :])
            *d, dx, dy = _vjp(edges, [*params.values(), x, y], slopes)
            for a, b in zip(v, d, strict=False):
                if b is not None:
                    a.add_(b)
            return Pulled(v, dx, dy, dlr)

        return tuple({name: p.detach() for name, p in part.items()} for part in after), pull_back


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

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """One step along ``gradient``."""
        params, m = carry
        m = {name: self.momentum * m[name] + g for name, g in gradient.items()}
        return {name: p - lr * m[name] for name, p in params.items()}, m


@dataclass(frozen=True)
class Adam(_WithState):
    """Adam, θ ← θ − η m̂ / √(v̂ + ε²) (Kingma and Ba 2015).

    ε stands under the root, where the step can be differentiated also for a gradient of 0.

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
        """The parameters, both means at 0, and the weight that each mean still gives to that 0."""
        p = next(iter(params.values()))
        return params, _zeros(params), _zeros(params), {"m": p.new_ones(()), "v": p.new_ones(())}

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
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


def as_leaves(params: Params) -> Params:
    """The same values, as tensors to differentiate for."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def flat(carry: Carry) -> list[Tensor]:
    """All tensors of a carry."""
    return [tensor for part in carry for tensor in part.values()]


def _leaves(step: Step) -> Step:
    x, y, lr = (part.detach().requires_grad_() for part in step)
    return x, y, lr


def _gradient(
    objective: Objective, params: Params, step: Step, *, create_graph: bool = False
) -> Sequence[Tensor | None]:
    """η ∇ℓ for each parameter, None for one that has no say.

    η goes into the loss, so that its own derivative and the factor η cost next to nothing.
    """
    x, y, lr = step
    with torch.enable_grad():
        value = lr * objective(params, x, y)
    inputs = list(params.values())
    return torch.autograd.grad(value, inputs, create_graph=create_graph, allow_unused=True)


def _descend(params: Params, gradient: Sequence[Tensor | None]) -> Params:
    with torch.no_grad():
        return {
            name: p.detach() if g is None else p - g
            for (name, p), g in zip(params.items(), gradient, strict=True)
        }


def _edges(
    gradient: Sequence[Tensor | None],
) -> list[torch.autograd.graph.GradientEdge | None]:
    """Where the graph of each gradient begins; None where it is constant."""
    return [get_gradient_edge(g) if g is not None and g.requires_grad else None for g in gradient]


def _vjp(
    edges: Sequence[torch.autograd.graph.GradientEdge | None],
    inputs: Sequence[Tensor],
    v: Sequence[Tensor],
) -> Sequence[Tensor | None]:
    """Σ (∂ edge / ∂ input)ᵀ v for each input, None where that is 0."""
    used = [(edge, c) for edge, c in zip(edges, v, strict=True) if edge is not None]
    if not used:
        return [None] * len(inputs)
    return torch.autograd.grad(
        [edge for edge, _ in used], inputs, [c for _, c in used], allow_unused=True
    )


def _subtract(v: Cotangent, d: Sequence[Tensor | None]) -> Cotangent:
    return [a if b is None else a.sub_(b) for a, b in zip(v, d, strict=True)]


def _filled(params: Params, gradient: Sequence[Tensor | None]) -> Params:
    return {
        name: torch.zeros_like(p) if g is None else g.detach()
        for (name, p), g in zip(params.items(), gradient, strict=True)
    }


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(p) for name, p in params.items()}
