"""The hypergradient in closed form: the last layer by kernel ridge regression, nothing unrolled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..carry import Carry, Params
from ..losses import mean_over_students
from ..optimizers import Adam
from .problem import Hypergradient, Method, OuterProblem, State, TargetKind

OPTIMIZER = Adam()


def squared_error(
    outputs: Tensor,  # (batch, n_outputs)
    y: Tensor,  # (batch,) class indices, or (batch, n_outputs) numbers
) -> Tensor:
    """Squared error from numbers, or from centred one-hot labels, mean over the batch."""
    if y.ndim == 1:
        y = F.one_hot(y, outputs.shape[-1]).to(outputs.dtype) - 1 / outputs.shape[-1]
    return (outputs - y).square().sum(-1).mean()


@dataclass(eq=False)
class Ridge(Method):
    """The outer loss of a ridge regression from features of the distilled samples to their labels.

    A pool holds students of staggered ages. Each call draws some of them, differentiates the loss
    with respect to x̃ and ỹ with the students' parameters held fixed, and trains them one step
    further on the distilled set. A student that is old enough is replaced by a fresh one. Step
    sizes get no gradient; `Unrolled` learns them afterwards.

    Parameters
    ----------
    penalty : float, default=1e-3
        Ridge penalty, in units of the kernel's mean diagonal.
    pool_size : int, default=10
        Students in the pool.
    max_age : int, default=100
        Steps after which a student is replaced.
    lr : float, default=1e-3
        Step size of Adam, which trains the students of the pool.

    References
    ----------
    Zhou, Nezhadarya and Ba (2022), Dataset distillation using neural feature regression (FRePo),
    arXiv:2206.00719.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, Ridge, Unrolled
    >>> X, y = load_wine(return_X_y=True)
    >>> method = [Ridge(max_age=50), Unrolled()]
    >>> DatasetDistiller(method=method, max_iter=20, random_state=0).fit(X, y).n_iter_
    20
    """

    penalty: float = 1e-3
    pool_size: int = 10
    max_age: int = 100
    lr: float = 1e-3

    learns_step_sizes = False
    needs_features = True
    targets = frozenset({TargetKind.MULTICLASS, TargetKind.CONTINUOUS})
    # The outputs of a regression are not logits.
    default_objective = staticmethod(squared_error)

    def __post_init__(self) -> None:
        for name in ("penalty", "pool_size", "max_age", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}.")
        self.pool: dict[int, tuple[int, Carry]] = {}  # place -> age and student

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and its gradient, which is 0 for the step sizes."""
        student = problem.student
        x, y = (t.detach().requires_grad_() for t in (problem.x, problem.y))
        problem = problem._replace(x=x, y=y)
        losses = []
        for fresh in student.groups(problem.params):
            place = int(torch.randint(self.pool_size, (), generator=problem.generator))
            age, carry = self.pool.get(place, (place * self.max_age // self.pool_size, None))
            if carry is None or age >= self.max_age:
                age, carry = age % self.max_age, OPTIMIZER.start(fresh)
            # A pool that was loaded lies on the CPU.
            carry = tuple({name: p.to(x.device) for name, p in part.items()} for part in carry)
            losses.append(self._loss(problem, carry[0]))
            # One step on the whole distilled set.
            step = x.detach().flatten(0, 1), y.detach().flatten(0, 1), x.new_tensor(self.lr)
            self.pool[place] = age + 1, OPTIMIZER.step(student.inner_loss, carry, step)
        with torch.enable_grad():
            loss = torch.stack(losses).mean()
        dx, dy = torch.autograd.grad(loss, (x, y), materialize_grads=True)
        return Hypergradient(loss.detach(), dx, dy, torch.zeros_like(problem.lrs))

    def state_dict(self) -> State:
        """The pool, as one dict of tensors."""
        state = {}
        for place, (age, carry) in self.pool.items():
            state[f"{place}/age"] = torch.tensor(age)
            for k, part in enumerate(carry):
                state |= {f"{place}/{k}/{name}": p for name, p in part.items()}
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue with the pool of another."""
        self.pool = {}
        for place in sorted({int(key.split("/")[0]) for key in state}):
            parts: dict[str, Params] = {}
            for key, p in state.items():
                at, part, *name = key.split("/", 2)
                if int(at) == place and name:
                    parts.setdefault(part, {})[name[0]] = p
            self.pool[place] = int(state[f"{place}/age"]), tuple(parts[k] for k in sorted(parts))

    def _loss(self, problem: OuterProblem, params: Params) -> Tensor:
        """The outer loss of a regression from a student's features, with a graph to x̃ and ỹ."""
        features, (x_real, y_real) = problem.student.features, problem.real
        assert features is not None
        with torch.enable_grad():
            distilled, real = features(params, problem.x.flatten(0, 1)), features(params, x_real)
            labels = problem.y.flatten(0, 1)
            if y_real.ndim == 1:  # classes: the regression has no intercept
                labels = labels - 1 / labels.shape[-1]
            predicted = kernel_ridge(distilled, labels, real, self.penalty)
            return mean_over_students(problem.objective, predicted, y_real)


def kernel_ridge(
    x: Tensor,  # (..., n, d)
    y: Tensor,  # (n, n_outputs)
    x_new: Tensor,  # (..., m, d)
    penalty: float,
) -> Tensor:
    """Predictions (..., m, n_outputs) for x_new of a ridge regression without intercept.

    The penalty is in units of the mean of ‖x_i‖².
    """
    kernel = x @ x.mT
    ridge = penalty * kernel.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    eye = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    # Where all features are 0 there is no solution; the outer loop undoes what is not finite.
    dual, _ = torch.linalg.solve_ex(kernel + ridge * eye, y.expand(*x.shape[:-1], -1))
    return x_new @ (x.mT @ dual)
