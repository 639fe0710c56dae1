"""Hypergradients in closed form: the last layer by kernel ridge regression, nothing unrolled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .hypergradient import Hypergradient, Task
from .objectives import classification, mean_over_nets
from .optimizers import Adam, Carry, Params

OPTIMIZER = Adam()


@dataclass(eq=False)
class Ridge:
    """The outer loss of a ridge regression from features of the distilled samples to their labels.

    A pool holds nets of staggered ages. Each call draws some of them, differentiates the loss for x̃
    and ỹ with their features held still, and trains them one step further on the distilled set; a
    net that is old enough makes room for a fresh one. Step sizes get no gradient: `Unrolled` learns
    them afterwards (FRePo; Zhou, Nezhadarya and Ba 2022, arXiv:2206.00719).

    Parameters
    ----------
    penalty : float
        Ridge penalty, in units of the kernel's mean diagonal.
    pool_size : int
        Nets in the pool.
    max_age : int
        Steps after which a net is replaced.
    lr : float
        Step size of Adam, with which the nets of the pool are trained.
    """

    penalty: float = 1e-3
    pool_size: int = 10
    max_age: int = 100
    lr: float = 1e-3

    def __post_init__(self) -> None:
        self.pool: dict[int, tuple[int, Carry]] = {}  # place -> age and net

    def __call__(self, task: Task) -> Hypergradient:
        x, y = (t.detach().requires_grad_() for t in (task.x, task.y))
        task = task._replace(x=x, y=y)
        # A regression's outputs are no logits: what asks for cross-entropy gets the squared error.
        if task.objective is classification:
            task = task._replace(objective=squared_error)
        losses = []
        for fresh in task.learner.groups(task.nets):
            place = int(torch.randint(self.pool_size, (), generator=task.generator))
            age, carry = self.pool.get(place, (place * self.max_age // self.pool_size, None))
            if carry is None or age >= self.max_age:
                age, carry = age % self.max_age, OPTIMIZER.start(fresh)
            # A pool that was loaded lies on the CPU.
            carry = tuple({name: p.to(x.device) for name, p in part.items()} for part in carry)
            losses.append(self._loss(task, carry[0]))
            # Stepped once by all of the distilled set.
            step = x.detach().flatten(0, 1), y.detach().flatten(0, 1), x.new_tensor(self.lr)
            self.pool[place] = age + 1, OPTIMIZER.step(task.learner.objective, carry, step)
        with torch.enable_grad():
            loss = torch.stack(losses).mean()
        dx, dy = torch.autograd.grad(loss, (x, y))
        return Hypergradient(loss.detach(), dx, dy, torch.zeros_like(task.lrs))

    def state_dict(self) -> dict[str, Tensor]:
        """The pool, as one dict of tensors."""
        state = {}
        for place, (age, carry) in self.pool.items():
            state[f"{place}/age"] = torch.tensor(age)
            for k, part in enumerate(carry):
                state |= {f"{place}/{k}/{name}": p for name, p in part.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the pool of another."""
        self.pool = {}
        for place in sorted({int(key.split("/")[0]) for key in state}):
            parts: dict[str, Params] = {}
            for key, p in state.items():
                at, part, *name = key.split("/", 2)
                if int(at) == place and name:
                    parts.setdefault(part, {})[name[0]] = p
            self.pool[place] = int(state[f"{place}/age"]), tuple(parts[k] for k in sorted(parts))

    def _loss(self, task: Task, net: Params) -> Tensor:
        """What a regression from the net's features loses, with a graph to x̃ and ỹ."""
        features, (x_real, y_real) = task.learner.features, task.real
        assert features is not None
        with torch.enable_grad():
            ours, theirs = features(net, task.x.flatten(0, 1)), features(net, x_real)
            labels = task.y.flatten(0, 1) - 1 / task.y.shape[-1]
            predicted = kernel_ridge(ours, labels, theirs, self.penalty)
            return mean_over_nets(task.objective, predicted, y_real)


def kernel_ridge(
    x: Tensor,  # (..., n, d)
    y: Tensor,  # (n, n_outputs)
    x_new: Tensor,  # (..., m, d)
    penalty: float,
) -> Tensor:
    """What ridge regression without intercept from x to y predicts for x_new, (..., m, n_outputs).

    The penalty is in units of the mean of ‖x_i‖².
    """
    kernel = x @ x.mT
    ridge = penalty * kernel.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    eye = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    # Where all features are 0 there is no solution; the outer loop undoes what is not finite.
    dual, _ = torch.linalg.solve_ex(kernel + ridge * eye, y.expand(*x.shape[:-1], -1))
    return x_new @ (x.mT @ dual)


def squared_error(
    outputs: Tensor,  # (batch, n_classes)
    y: Tensor,  # (batch,), class indices
) -> Tensor:
    """Squared error from centred one-hot labels, mean over the batch; the ridge's own objective."""
    target = F.one_hot(y, outputs.shape[-1]).to(outputs.dtype) - 1 / outputs.shape[-1]
    return (outputs - target).square().sum(-1).mean()
