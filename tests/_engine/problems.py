"""Small problems in float64, the naive way to differentiate them, and what tests ask of results."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd._engine import (
    SGD,
    Adam,
    Hypergradient,
    Method,
    Momentum,
    Objective,
    OuterProblem,
    Params,
    StudentFn,
    classification,
    pure,
    pure_features,
)

OPTIMIZERS = [SGD(), Momentum(0.7), Adam((0.8, 0.95), eps=1e-3)]

_OF_A_STUDENT = {field.name for field in dataclasses.fields(StudentFn)}


class Problem:
    """A student, a distilled set of ``n_steps`` mini-batches, and a real batch."""

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
        features = pure_features(copy.deepcopy(self.module), self.real[0])
        self.student = StudentFn(pure(self.module), features=features)

    @property
    def n_inits(self) -> int:
        return len(next(iter(self.params.values())))

    def each_init(self) -> Iterator[Params]:
        """The parameters of each student alone."""
        for i in range(self.n_inits):
            yield {name: p[i] for name, p in self.params.items()}

    def inputs(self) -> list[Tensor]:
        """All tensors that a method is given."""
        return [*self.params.values(), self.x, self.y, self.lrs, *self.real]

    def outer(
        self, objective: Objective = classification, *, seed: int = 0, **changed: Any
    ) -> OuterProblem:
        """What a method is given; ``changed`` parts, or fields of the student, are not its own."""
        given = {**vars(self), **changed}
        of_student = {name: value for name, value in changed.items() if name in _OF_A_STUDENT}
        student = given["student"]
        return OuterProblem(
            dataclasses.replace(student, **of_student) if of_student else student,
            **{name: given[name] for name in ("params", "x", "y", "lrs", "real")},
            objective=objective,
            generator=torch.Generator().manual_seed(seed),
        )


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """A module whose parameters are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))


def mlp() -> Problem:
    return Problem(seeded(two_layers), (5,))


def mlp_of_three_inits() -> Problem:
    return Problem(seeded(two_layers), (5,), n_inits=3)


def convnet() -> Problem:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.GroupNorm(3, 3), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(12, 3),
        )  # fmt: skip

    return Problem(seeded(build), (1, 4, 4), n_inits=2, batch=2)


PROBLEMS = [mlp, mlp_of_three_inits, convnet]


class WithSpare(nn.Linear):
    """Has a parameter that nothing depends on, and a constant."""

    def __init__(self) -> None:
        super().__init__(5, 3)
        self.spare = nn.Parameter(torch.ones(2))
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh() * self.scale


class Signed(nn.Linear):
    """Has a bias before a sign: its gradient is 0 everywhere."""

    def __init__(self) -> None:
        super().__init__(5, 3)
        self.before = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.1 * torch.sign(x + self.before))


# The naive way, which shares nothing with the engine


def naive_loop(
    problem: Problem,
    optimizer: object = None,
    *,
    objective: Objective = classification,
    first: int = 0,
    end: int | None = None,
) -> Hypergradient:
    """The outer loss, mean over the inits, and its gradients, written out by hand.

    One graph keeps every step from ``first`` to ``end``; the steps before leave none.
    """
    x, y, lrs = leaves = [t.detach().requires_grad_() for t in (problem.x, problem.y, problem.lrs)]
    losses = []
    for init in problem.each_init():
        theta = {name: p.detach().requires_grad_() for name, p in init.items()}
        memory = empty_memory(theta)
        for t, lr in enumerate(lrs.flatten()[:end]):
            logits = functional_call(problem.module, theta, (x[t % len(x)],))
            loss = -(y[t % len(x)] * F.log_softmax(logits, -1)).sum(1).mean()
            gradient = torch.autograd.grad(
                loss, list(theta.values()), create_graph=True, materialize_grads=True
            )
            for (name, p), slope in zip(theta.items(), gradient, strict=True):
                theta[name] = p - lr * naive_direction(optimizer, memory, name, slope, t)
            if t < first:
                theta = {name: p.detach().requires_grad_() for name, p in theta.items()}
                memory = [{name: m.detach() for name, m in part.items()} for part in memory]
        x_real, y_real = problem.real
        losses.append(objective(functional_call(problem.module, theta, (x_real,)), y_real))
    mean = torch.stack(losses).mean()
    return Hypergradient(mean.detach(), *torch.autograd.grad(mean, leaves))


def inner_gradient(problem: Problem, theta: Params, x: Tensor, y: Tensor) -> Params:
    """The gradient of the cross-entropy at ``theta``, by name."""
    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    logits = functional_call(problem.module, leaves, (x,))
    loss = -(y * F.log_softmax(logits, -1)).sum(1).mean()
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def empty_memory(theta: Params) -> list[Params]:
    """What an optimiser remembers before its first step."""
    return [{name: torch.zeros_like(p) for name, p in theta.items()} for _ in range(2)]


def naive_direction(
    optimizer: object, memory: list[Params], name: str, slope: Tensor, t: int
) -> Tensor:
    """What a step follows instead of the gradient; notes in ``memory`` what it has to."""
    if isinstance(optimizer, Momentum):
        memory[0][name] = optimizer.momentum * memory[0][name] + slope
        return memory[0][name]
    if isinstance(optimizer, Adam):
        beta1, beta2 = optimizer.betas
        memory[0][name] = beta1 * memory[0][name] + (1 - beta1) * slope
        memory[1][name] = beta2 * memory[1][name] + (1 - beta2) * slope**2
        mean = memory[0][name] / (1 - beta1 ** (t + 1))
        mean_square = memory[1][name] / (1 - beta2 ** (t + 1))
        return mean / (mean_square + optimizer.eps**2).sqrt()
    return slope


# What tests ask of results


def outer_loss(method: Method, problem: Problem, *names: str, **changed: Any) -> Callable[..., Any]:
    """The outer loss as a function of the tensors named, for gradcheck: its slope is a method's."""

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> Tensor:
            given = dict(zip(names, tensors, strict=True))
            found = method(problem.outer(**given, **changed))
            ctx.save_for_backward(*(getattr(found, name) for name in names))
            return found.loss

        @staticmethod
        def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, ...]:
            return tuple(cotangent * slope for slope in ctx.saved_tensors)

    return Loss.apply


def leaves_of(problem: Problem, *names: str) -> list[Tensor]:
    """Copies to differentiate with respect to."""
    return [getattr(problem, name).clone().requires_grad_() for name in names]


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The distance in units of what was expected, which is not 0."""
    assert expected.norm() > 0
    return float((found - expected).norm() / expected.norm())


def assert_same(found: Hypergradient, expected: Iterable[Tensor], tolerance: float = 1e-12) -> None:
    """Each part agrees, and none is 0."""
    for name, part, other in zip(found._fields, found, expected, strict=True):
        assert relative_error(part, other) < tolerance, name


def assert_close(
    found: Hypergradient, expected: Iterable[Tensor], tolerance: float = 1e-10
) -> None:
    """Each part agrees, and is 0 where that is expected."""
    for name, part, other in zip(found._fields, found, expected, strict=True):
        assert (part - other).norm() <= tolerance * other.norm(), name


def assert_equal(found: Iterable[Tensor], expected: Iterable[Tensor]) -> None:
    """Each part agrees to the bit."""
    assert all(torch.equal(part, other) for part, other in zip(found, expected, strict=True))


def mean_of(parts: Iterable[Hypergradient]) -> Hypergradient:
    """The mean of several hypergradients."""
    return Hypergradient(*(torch.stack(part).mean(0) for part in zip(*parts, strict=True)))
