"""Small problems in float64, and the naive way to differentiate them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd.engine.inner_loop import Apply, Params, apply_together
from sklearn_dd.engine.objectives import Objective


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
        dtype: torch.dtype = torch.float64,
    ) -> None:
        g = torch.Generator().manual_seed(0)

        def randn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=g, dtype=dtype)

        self.module = module.to(dtype)
        self.apply = apply_together(self.module)
        self.params: Params = {
            name: p.detach() + 0.3 * randn(n_inits, *p.shape)
            for name, p in module.named_parameters()
        }
        self.x = randn(n_steps, batch, *sample_shape)
        self.y = randn(n_steps, batch, n_classes).softmax(-1)
        self.lrs = lr * (1 + 0.3 * randn(n_epochs, n_steps).tanh())
        self.real = (
            randn(n_real, *sample_shape),
            torch.randint(n_classes, (n_real,), generator=g),
        )


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


def naive_loss(
    module: nn.Module,
    params: Params,
    x: Tensor,
    y: Tensor,
    lrs: Tensor,
    objective: Objective,
    real: tuple[Tensor, Tensor],
) -> Tensor:
    """The outer loss, mean over the inits, as one graph that keeps every step."""
    n_inits = len(next(iter(params.values())))
    losses = []
    for i in range(n_inits):
        theta = {name: p[i].detach().requires_grad_() for name, p in params.items()}
        for t, lr in enumerate(lrs.flatten()):
            logits = functional_call(module, theta, (x[t % len(x)],))
            loss = -(y[t % len(x)] * F.log_softmax(logits, -1)).sum(1).mean()
            gradient = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
            theta = {name: p - lr * g for (name, p), g in zip(theta.items(), gradient, strict=True)}
        losses.append(objective(functional_call(module, theta, (real[0],)), real[1]))
    return torch.stack(losses).mean()


def naive_hypergradient(
    module: nn.Module,
    params: Params,
    x: Tensor,
    y: Tensor,
    lrs: Tensor,
    objective: Objective,
    real: tuple[Tensor, Tensor],
) -> tuple[Tensor, ...]:
    """The outer loss and its gradients for x̃, ỹ and η, through the whole graph."""
    leaves = [tensor.detach().requires_grad_() for tensor in (x, y, lrs)]
    loss = naive_loss(module, params, *leaves, objective, real)
    return loss.detach(), *torch.autograd.grad(loss, leaves)


__all__ = ["PROBLEMS", "Apply", "Problem", "naive_hypergradient", "naive_loss"]
