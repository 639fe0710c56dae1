"""Linear models with a convex loss, at their optimum, differentiated implicitly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

_NEWTON_STEPS, _CG_STEPS = 50, 500
_FORCING = 1e-2  # accuracy of a step on the way to the optimum
_JITTER = 1e-6  # of squared norms, for samples that depend on one another
_HAIR = 1e-6  # of a penalty on intercepts, which may be shifted alike

Product = Callable[[Tensor], Tensor]


class ConvexLoss(NamedTuple):
    """A loss of outputs (m, n_outputs) and labels alike, summed over samples.

    Attributes
    ----------
    value : callable
        (outputs, y) -> scalar.
    gradient : callable
        (outputs, y) -> the gradient in the outputs.
    curvature : callable
        (outputs, y, v) -> the second derivative times v.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor, Tensor], Tensor]


def _softmax_curvature(outputs: Tensor, y: Tensor, v: Tensor) -> Tensor:
    p, total = outputs.softmax(1), y.sum(1, keepdim=True)
    return total * p * (v - (p * v).sum(1, keepdim=True))


LOGISTIC = ConvexLoss(
    lambda o, y: -(y * o.log_softmax(1)).sum(),
    lambda o, y: o.softmax(1) * y.sum(1, keepdim=True) - y,
    _softmax_curvature,
)
SQUARED_HINGE = ConvexLoss(
    lambda o, y: (1 - (2 * y - 1) * o).clamp(min=0).square().sum(),
    lambda o, y: -2 * (2 * y - 1) * (1 - (2 * y - 1) * o).clamp(min=0),
    lambda o, y, v: 2 * ((2 * y - 1) * o < 1) * (2 * y - 1).square() * v,
)


@dataclass(frozen=True)
class Linear:
    """A linear model with a penalty on its weights, and none on its intercept.

    Its parameters minimise ``0.5 * ||weights||² + C * loss``. Newton's method finds them. Then one
    more step, which changes nothing, carries the gradient: with g the gradient of the cost and H
    its second derivative, w - H⁻¹ g(w, x, y) has the derivative -H⁻¹ ∂g/∂x, which is that of the
    optimum (implicit function theorem). Systems are solved by conjugate gradients.
    """

    loss: ConvexLoss = LOGISTIC
    C: float = 1.0
    tol: float = 1e-3  # of the gradient's norm, relative to that at 0

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The outputs of the optimal model."""
        if len(x) < x.shape[1]:
            x, new = _in_span(x, new)
        x1 = _with_one(x)
        with torch.no_grad():
            w = self._optimum(x1.detach(), y.detach())
            product = self._curvature(w, x1.detach(), y.detach())
        return _with_one(new) @ (w - _Solve.apply(self._gradient(w, x1, y), product, self.tol))

    def _optimum(self, x1: Tensor, y: Tensor) -> Tensor:
        w = x1.new_zeros(x1.shape[1], y.shape[1])
        cost, g = self._cost(w, x1, y), self._gradient(w, x1, y)
        enough = self.tol * g.norm()
        for _ in range(_NEWTON_STEPS):
            if g.norm() <= enough:
                break
            step = conjugate_gradients(self._curvature(w, x1, y), g, _FORCING)
            size = 1.0
            while not (lower := self._cost(w - size * step, x1, y)) <= cost and size > 1e-3:
                size /= 2
            w, cost = w - size * step, lower
            g = self._gradient(w, x1, y)
        return w

    def _penalty(self, x1: Tensor) -> Tensor:
        weight = x1.new_ones(x1.shape[1], 1)
        weight[-1] = _HAIR
        return weight

    def _cost(self, w: Tensor, x1: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (self._penalty(x1) * w.square()).sum() + self.C * self.loss.value(x1 @ w, y)

    def _gradient(self, w: Tensor, x1: Tensor, y: Tensor) -> Tensor:
        return self._penalty(x1) * w + self.C * x1.T @ self.loss.gradient(x1 @ w, y)

    def _curvature(self, w: Tensor, x1: Tensor, y: Tensor) -> Product:
        outputs, penalty = x1 @ w, self._penalty(x1)
        return lambda v: penalty * v + self.C * x1.T @ self.loss.curvature(outputs, y, x1 @ v)


@dataclass(frozen=True)
class LeastSquares:
    """A ridge regression with an intercept, in closed form: ``||weights||² + C * squared error``.

    It is solved in float64, because a small penalty leaves few samples hardly determined.
    """

    C: float = 1.0

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The outputs of the optimal model."""
        wide, labels = x.double(), y.double()
        middle, mean = wide.mean(0), labels.mean(0)
        centred = wide - middle
        eye = torch.eye(len(x), dtype=torch.float64, device=x.device)
        dual = torch.linalg.solve(centred @ centred.T + eye / self.C, labels - mean)
        return (mean + (new.double() - middle) @ (centred.T @ dual)).to(new)


class _Solve(torch.autograd.Function):
    """H⁻¹ g for a fixed symmetric H, linear in g."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, product: Product, tol: float) -> Tensor:
        ctx.product, ctx.tol = product, tol
        return conjugate_gradients(product, g, tol)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return conjugate_gradients(ctx.product, grads[0], ctx.tol), None, None


def conjugate_gradients(product: Product, b: Tensor, tol: float) -> Tensor:
    """Solve A s = b for a positive definite A of which products are known, to a relative error."""
    s, r = torch.zeros_like(b), b
    p, rr = r, r.square().sum()
    enough = tol**2 * rr
    for _ in range(_CG_STEPS):
        if not rr > enough:
            break
        ap = product(p)
        alpha = rr / (p * ap).sum()
        s, r = s + alpha * p, r - alpha * ap
        before, rr = rr, r.square().sum()
        p = r + rr / before * p
    return s


def _in_span(x: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (m, m) and (n, m) in the span of the samples, in which the weights lie.

    With x = R Qᵀ and orthonormal columns of Q, new samples have the coordinates new Q = new xᵀ R⁻ᵀ.
    """
    wide, new_wide = x.double(), new.double()
    products = wide @ wide.T
    eye = torch.eye(len(x), dtype=torch.float64, device=x.device)
    ridge = _JITTER * products.detach().diagonal().amax()
    R, failed = torch.linalg.cholesky_ex(products + ridge * eye)
    while failed and ridge.isfinite():  # samples that are alike
        ridge = 10 * ridge
        R, failed = torch.linalg.cholesky_ex(products + ridge * eye)
    coordinates = torch.linalg.solve_triangular(R, wide @ new_wide.T, upper=False).T
    return R.to(x), coordinates.to(x)


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)
