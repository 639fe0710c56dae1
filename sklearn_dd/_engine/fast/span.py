"""Inner training in the span of the distilled samples: for students that begin with a linear layer.

Gradient descent moves the first layer in the span of the samples alone. With all n distilled
samples in the rows of X, and a column of ones for the bias, its weights after any number of steps
are W = W₀ + Cᵀ X for some C of shape (n, units), 0 at the start. What the layer returns for the
samples is

    X Wᵀ = A + K C    with    A = X W₀ᵀ    and    K = X Xᵀ,

and a step takes η ∂ℓ/∂H, the gradient with respect to what the layer returns, from the rows of C
that belong to its mini-batch. So training needs A and K, each computed once, and never the samples:
for n samples of many values a step is far cheaper. The hypergradient reaches the samples through A,
K and the trained weights W. The results are the same, up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..carry import Carry, Cotangent, InnerLoss, Params, PullBack, Step, StepCotangents, as_leaves
from ..optimizers import SGD
from ..reverse_step import edges, leaves, vjp
from ..student_fn import Apply, FirstLayer, StudentFn, pure
from .tracing import Traced

_FEWEST_VALUES = 128  # of a sample; with fewer, the first layer takes little of a step's time
_C, _E = "span.C", "span.E"  # names of parameters; those of a module never begin like this


def first_layer(module: nn.Module, student: StudentFn, x: Tensor) -> FirstLayer | None:
    """The linear layer that ``module`` begins with, and the student that trains in the span.

    The module is run on ``x``, random samples, to find the layer and to check that nothing else
    sees the samples. None where there is no such layer, or where the optimiser leaves the span.
    """
    if student.optimizer != SGD():
        return None
    x = torch.cat([x, 1000 * x])  # clipped samples are not the samples themselves
    try:
        name = _first_linear(module, x)
        rest = None if name is None else _after(module, name, x)
    except Exception:  # a user's module may refuse, in its own way, what is asked here
        return None
    if name is None or rest is None:
        return None
    descent = SpanDescent()
    inner = replace(
        student, apply=in_span(rest), optimizer=descent, features=None,
        accelerated=student.accelerated and Traced(descent),
    )  # fmt: skip
    has_bias = module.get_submodule(name).bias is not None
    return FirstLayer(f"{name}.weight", f"{name}.bias" if has_bias else None, inner)


def _first_linear(module: nn.Module, x: Tensor) -> str | None:
    """The name of the linear layer that is called first, if it is called with ``x``."""
    called: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: called.append((layer, args[0])))
        for layer in module.modules()
        if type(layer) is nn.Linear
    ]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    layer, seen = called[0]
    flat = x.flatten(1)
    if seen.dtype != flat.dtype or not torch.equal(seen, flat):
        return None
    return next(name for name, found in module.named_modules() if found is layer) or None


def _after(module: nn.Module, name: str, x: Tensor) -> Apply | None:
    """The layers after the first one, a function of the parameters and of what it returns.

    None unless it agrees with the module at random parameters: weights that start at 0 would hide
    a second use of the samples.
    """
    layer = module.get_submodule(name)
    own = {f"{name}.weight"} | ({f"{name}.bias"} if layer.bias is not None else set())
    g = torch.Generator().manual_seed(0)
    params = {
        n: torch.randn(p.shape, generator=g).to(p).requires_grad_()
        for n, p in module.named_parameters()
    }
    rest = copy.deepcopy(module)
    rest.set_submodule(name, nn.Identity())
    others = dict(rest.named_parameters()).keys()
    if not others or others != params.keys() - own:  # it is shared, or has other parameters
        return None
    after, expected = pure(rest), pure(module)(params, x)
    output = F.linear(x.flatten(1), params[f"{name}.weight"], params.get(f"{name}.bias"))
    found = after({n: params[n] for n in others}, output)
    if found.dtype != expected.dtype or not torch.equal(found, expected):
        return None
    (slope,) = torch.autograd.grad(expected.sum(), params[f"{name}.weight"], allow_unused=True)
    return None if slope is None else after


class SpanDescent(SGD):
    """Gradient descent in the span: C moves by the gradient with respect to the layer's output.

    That gradient is the one with respect to E, a summand of the output that is always 0.
    """

    def step(self, loss: InnerLoss, carry: Carry, step: Step) -> Carry:
        """One step."""
        x, y, lr = step
        params, e = as_leaves(carry[0]), _zeros(carry[0][_C], x)
        first, *rest = _gradient(loss, params, e, x, y, lr)
        return (_moved(params, first, rest, _rows(x)),)

    def record(self, loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """One step, and its pull-back."""
        params, e = as_leaves(carry[0]), _zeros(carry[0][_C], step[0])
        x, y, lr = leaves(step)
        gradient = _gradient(loss, params, e, x, y, lr, create_graph=True)
        rows = _rows(x)
        after = _moved(params, gradient[0], gradient[1:], rows)
        graph = edges(gradient)
        del gradient

        def pull_back(v: Cotangent) -> StepCotangents:
            # C comes first.
            cotangent = [v[0].index_select(0, rows), *v[1:]]
            *d, dx, dy, dlr = vjp(graph, [*params.values(), x, y, lr], cotangent)
            v = [a if b is None else a - b for a, b in zip(v, d, strict=True)]
            return StepCotangents(v, *(None if g is None else -g for g in (dx, dy, dlr)))

        return (after,), pull_back


def in_span(rest: Apply) -> Apply:
    """A student in the span, from its layers after the first.

    A row of its input holds a row of K, a row of A, and its own number.
    """

    def apply(params: Params, x: Tensor) -> Tensor:
        c = params[_C]
        k, a, _ = x.split([*c.shape, 1], -1)
        output = torch.addmm(a, k, c)
        if _E in params:
            output = output + params[_E]
        return rest({name: p for name, p in params.items() if name not in (_C, _E)}, output)

    return apply


def _zeros(c: Tensor, x: Tensor) -> Tensor:
    return c.new_zeros(len(x), c.shape[1]).requires_grad_()


def _rows(x: Tensor) -> Tensor:
    # A traced step is tried on mirrored samples too, whose numbers are negative.
    return x.detach()[:, -1].abs().long()


def _gradient(
    loss: InnerLoss,
    params: Params,
    e: Tensor,
    x: Tensor,
    y: Tensor,
    lr: Tensor,
    *,
    create_graph: bool = False,
) -> Sequence[Tensor | None]:
    """η times the gradient with respect to the layer's output and to the other parameters."""
    with torch.enable_grad():
        value = lr * loss({**params, _E: e}, x, y)
    inputs = [e, *(p for name, p in params.items() if name != _C)]
    return torch.autograd.grad(value, inputs, create_graph=create_graph, allow_unused=True)


@torch.no_grad()
def _moved(
    params: Params, first: Tensor | None, rest: Sequence[Tensor | None], rows: Tensor
) -> Params:
    (_, c), *others = params.items()
    return {
        _C: c if first is None else c.index_add(0, rows, first, alpha=-1),
        **{name: p.detach() if g is None else p - g
           for (name, p), g in zip(others, rest, strict=True)},
    }  # fmt: skip


class Span:
    """The span of distilled samples, and the way into it and back.

    Parameters
    ----------
    first : FirstLayer
        The layer.
    params : dict of Tensor
        The parameters of one student where training in the span begins.
    x : Tensor of shape (n_steps, batch, *sample_shape)
        The distilled samples.

    Attributes
    ----------
    student : StudentFn
        The student that trains in the span.
    carry : Carry
        Where it begins.
    x : Tensor of shape (n_steps, batch, n + units + 1)
        The distilled samples as it sees them.
    """

    def __init__(self, first: FirstLayer, params: Params, x: Tensor) -> None:
        self.first, self.student, self.shape = first, first.in_span, x.shape
        own = [name for name in (first.weight, first.bias) if name is not None]
        # The bias is the last column of the weights.
        self.weights = torch.cat([params[name].view(len(params[own[0]]), -1) for name in own], -1)
        self.samples = self._rows_of(x.detach().flatten(0, 1))
        n = len(self.samples)
        numbers = torch.arange(n, dtype=x.dtype, device=x.device)[:, None]
        self.x = torch.cat([self.of(self.samples), numbers], -1).view(*x.shape[:2], -1)
        rest = {name: p for name, p in params.items() if name not in own}
        self.carry: Carry = ({_C: x.new_zeros(n, len(self.weights)), **rest},)

    def real(self, x: Tensor) -> Tensor:
        """Real samples as the student in the span sees them."""
        self.real_rows = self._rows_of(x)
        return torch.cat([self.of(self.real_rows), x.new_zeros(len(x), 1)], -1)

    def of(self, rows: Tensor) -> Tensor:
        """K and A of samples."""
        return torch.cat([rows @ self.samples.T, rows @ self.weights.T], -1)

    def parameters(self, trained: Params) -> Params:
        """The parameters of the student itself, from those of the student in the span."""
        weight, bias = self.first.weight, self.first.bias
        moved = self.weights + trained[_C].T @ self.samples
        own = {weight: moved} if bias is None else {weight: moved[:, :-1], bias: moved[:, -1]}
        return {**own, **{name: p for name, p in trained.items() if name != _C}}

    def pull_back(self, dx: Tensor, d_real: Tensor) -> Tensor:
        """Gradients with respect to `x` and to what `real` returned, for the distilled samples."""
        n = len(self.samples)
        dk, da, _ = dx.flatten(0, 1).split([n, len(self.weights), 1], -1)
        d = (dk + dk.T) @ self.samples + da @ self.weights + d_real[:, :n].T @ self.real_rows
        return (d if self.first.bias is None else d[:, :-1]).reshape(self.shape)

    def _rows_of(self, x: Tensor) -> Tensor:
        """Flat samples, with a column of ones for the bias."""
        x = x.flatten(1)
        return x if self.first.bias is None else torch.cat([x, x.new_ones(len(x), 1)], -1)


def pays(x: Tensor, n_units: int, n_taken: int) -> bool:
    """Whether ``n_taken`` steps take fewer operations in the span of ``x`` than on the samples."""
    n, n_values = x.shape[0] * x.shape[1], x[0, 0].numel()
    return n_taken >= 2 * len(x) and n <= n_units and n_values >= max(2 * n, _FEWEST_VALUES)
