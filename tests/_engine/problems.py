"""Small problems in float64, and the naive way to differentiate them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd.engine.hypergradient import Task
from sklearn_dd.engine.inner_loop import Learner, pure
from sklearn_dd.engine.objectives import Objective, classification
from sklearn_dd.engine.optimizers import Adam, Momentum, Params


class Problem:
    """A net, a distilled set of ``n_steps`` mini-batches, and a real batch."""

    def __init__(
        self,
        module: nn.Module,
        sample_shape: tuple[int, ...],
        *,
        n_classes: int = 3,
        n_steps: int = 2,
        n_epochs: int = 3,
        n_inits: int = 1,
        batch: int = 4,
        n_real: int = 7,
        lr: float = 0.3,
        spread: float = 0.3,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        g = torch.Generator().manual_seed(0)

        def randn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=g, dtype=dtype)

        self.module = module.to(dtype)
        self.learner = Learner(pure(self.module))
        self.params: Params = {
            name: p.detach() + spread * randn(n_inits, *p.shape)
            for name, p in module.named_parameters()
        }
        self.x = randn(n_steps, batch, *sample_shape)
        self.y = randn(n_steps, batch, n_classes).softmax(-1)
        self.lrs = lr * (1 + 0.3 * randn(n_epochs, n_steps).tanh())
        self.real = (
            randn(n_real, *sample_shape),
            torch.randint(n_classes, (n_real,), generator=g),
        )

    def task(self, objective: Objective = classification, *, seed: int = 0, **changed: Any) -> Task:
        """What an estimator is given; ``changed`` parts are not this problem's own."""
        given = {"nets": self.params, **vars(self), **changed}
        parts = {name: given[name] for name in ("learner", "nets", "x", "y", "lrs", "real")}
        return Task(**parts, objective=objective, generator=torch.Generator().manual_seed(seed))


def mlp() -> Problem:
    return Problem(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)), (5,))


def mlp_of_three_inits() -> Problem:
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    return Problem(net, (5,), n_inits=3)


def convnet() -> Problem:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.GroupNorm(3, 3), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    return Problem(net, (1, 4, 4), n_inits=2, batch=2)


PROBLEMS = [mlp, mlp_of_three_inits, convnet]


def naive_hypergradient(
    p: Problem,
    objective: Objective,
    optimizer: object = None,
    *,
    first: int = 0,
    end: int | None = None,
) -> tuple[Tensor, ...]:
    """The outer loss, mean over the inits, and its gradients for x̃, ỹ and η.

    One graph keeps every step from ``first`` to ``end``; the steps before leave none.
    """
    leaves = [tensor.detach().requires_grad_() for tensor in (p.x, p.y, p.lrs)]
    x, y, lrs = leaves
    n_inits = len(next(iter(p.params.values())))
    losses = []
    for i in range(n_inits):
        theta = {name: q[i].detach().requires_grad_() for name, q in p.params.items()}
        memory = [{name: torch.zeros_like(q) for name, q in theta.items()} for _ in range(2)]
        for t, lr in enumerate(lrs.flatten()[:end]):
            logits = functional_call(p.module, theta, (x[t % len(x)],))
            loss = -(y[t % len(x)] * F.log_softmax(logits, -1)).sum(1).mean()
            gradient = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
            for (name, q), g in zip(theta.items(), gradient, strict=True):
                theta[name] = q - lr * naive_direction(optimizer, memory, name, g, t)
            if t < first:
                theta = {name: q.detach().requires_grad_() for name, q in theta.items()}
                memory = [{name: m.detach() for name, m in part.items()} for part in memory]
        losses.append(objective(functional_call(p.module, theta, (p.real[0],)), p.real[1]))
    mean = torch.stack(losses).mean()
    return mean.detach(), *torch.autograd.grad(mean, leaves)


def naive_direction(
    optimizer: object, memory: list[dict[str, Tensor]], name: str, g: Tensor, t: int
) -> Tensor:
    """What a step follows instead of the gradient; notes in ``memory`` what it has to."""
    if isinstance(optimizer, Momentum):
        memory[0][name] = optimizer.momentum * memory[0][name] + g
        return memory[0][name]
    if isinstance(optimizer, Adam):
        b1, b2 = optimizer.betas
        memory[0][name] = b1 * memory[0][name] + (1 - b1) * g
        memory[1][name] = b2 * memory[1][name] + (1 - b2) * g**2
        m, v = memory[0][name] / (1 - b1 ** (t + 1)), memory[1][name] / (1 - b2 ** (t + 1))
        return m / (v + optimizer.eps**2).sqrt()
    return g


__all__ = ["PROBLEMS", "Problem", "naive_hypergradient"]
