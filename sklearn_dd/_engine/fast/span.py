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

from ..carry import Carry, Cotangent, InnerLoss, Params, PullBack, Step, StepCotangents, as_leaves
from ..optimizers import SGD
from ..reverse_step import edges, vjp
from ..student_fn import Apply, FirstLayer, StudentFn, pure
from .tracing import Traced

_C, _E = "span.C", "span.E"  # names of parameters; those of a module never begin like this


def first_layer(module: nn.Module, student: StudentFn, x: Tensor) -> FirstLayer | None:
    """The linear layer that ``module`` begins with, and the student that trains in the span.

    Runs on ``x``, which should be random, find the layer and make sure that nothing else sees the
    samples. None where there is no such layer, or where the optimiser leaves the span.
    """
    found = _after_first(module, x) if student.optimizer == SGD() else None
    if found is None:
        return None
    name, rest = found
    descent = SpanDescent()
    inner = replace(
        student, apply=in_span(rest), optimizer=descent, features=None,
        accelerated=student.accelerated and Traced(descent),
    )  # fmt: skip
    has_bias = module.get_submodule(name).bias is not None
    return FirstLayer(f"{name}.weight", f"{name}.bias" if has_bias else None, inner)


def _after_first(module: nn.Module, x: Tensor) -> tuple[str, Apply] | None:
    """The name of the linear layer that ``module`` begins with, and the layers after it.

    These are a function of the parameters and of what the first layer returns.
    """
    inputs: dict[nn.Module, list[Tensor]] = {}
    linear = {name: layer for name, layer in module.named_modules() if type(layer) is nn.Linear}
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, args: inputs.setdefault(layer, []).append(args[0])
        )
        for layer in linear.values()
    ]
    with torch.no_grad():
        expected = module(x)
        for hook in hooks:
            hook.remove()
        found = ((name, layer) for name, layer in linear.items() if layer in inputs)
        name, layer = next(found, ("", None))
        if layer is None or not name or not torch.equal(inputs[layer][0], x.flatten(1)):
            return None
        rest = copy.deepcopy(module)
        rest.set_submodule(name, nn.Identity())
        kept = {n for n, _ in rest.named_parameters(remove_duplicate=False)}
        whole = {n for n, _ in module.named_parameters(remove_duplicate=False)}
        own = {f"{name}.{n}" for n, _ in layer.named_parameters()}
        if not kept or whole - own != kept:
            return None
        try:
            same = torch.equal(rest(layer(inputs[layer][0])), expected)
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError):
            return None  # other layers want the samples in their own shape
    return (name, pure(rest)) if same else None


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
        x, y, lr = (part.detach().requires_grad_() for part in step)
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

    A row of its input holds one of K, one of A, and the number of the row.
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
    c, *others = params.items()
    assert first is not None
    return {
        _C: c[1].index_add(0, rows, first, alpha=-1),
        **{name: p.detach() if g is None else p - g
           for (name, p), g in zip(others, rest, strict=True)},
    }  # fmt: skip


class Direct:
    """The way of a student that trains on the samples themselves."""

    def __init__(self, student: StudentFn, carry: Carry) -> None:
        self.student, self.carry = student, carry

    def lift(self, params: Params) -> Params:
        """The parameters as they are."""
        return params

    def lower(self, params: Params, slope: list[Tensor]) -> Cotangent:
        """The gradient as it is."""
        return slope


class Span:
    """The span of distilled samples, and the way between it and the student's own parameters.

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
    x : Tensor of shape (n_steps, batch, n + units + 1)
        What the student in the span is trained on.
    carry : Carry
        Where it begins.
    """

    def __init__(self, first: FirstLayer, params: Params, x: Tensor) -> None:
        self.first, self.shape, self.start = first, x.shape, params
        self.student = first.in_span
        samples = x.detach().flatten(0, 1).flatten(1)
        self.samples = samples if first.bias is None else _with_ones(samples)
        self.own = [name for name in (first.weight, first.bias) if name is not None]
        self.weights = self._joined(params)
        n = len(samples)
        parts = [
            self.samples @ self.samples.T, self.samples @ self.weights.T,
            torch.arange(n, dtype=x.dtype, device=x.device)[:, None],
        ]  # fmt: skip
        self.x = torch.cat(parts, -1).view(*x.shape[:2], -1)
        c = samples.new_zeros(n, len(self.weights))
        self.carry: Carry = ({_C: c, **{k: p for k, p in params.items() if k not in self.own}},)
        self.from_trained = torch.zeros_like(self.samples)

    def lift(self, params: Params) -> Params:
        """The student's own parameters at a point of the span."""
        weights = self.weights + params[_C].T @ self.samples
        split = [weights] if self.first.bias is None else [weights[:, :-1], weights[:, -1]]
        own = dict(zip(self.own, split, strict=True))
        return {name: own[name] if name in own else params[name] for name in self.start}

    def lower(self, params: Params, slope: Sequence[Tensor]) -> Cotangent:
        """A gradient with respect to `lift(params)`, as one with respect to ``params``."""
        by_name = dict(zip(self.start, slope, strict=True))
        d = self._joined(by_name)
        rest = [by_name[name] for name in params if name != _C]
        self.from_trained = params[_C] @ d  # the trained weights depend on the samples too
        return [self.samples @ d.T, *rest]

    def pull_back(self, dx: Tensor) -> Tensor:
        """A gradient with respect to `x`, and that of the trained weights, for the samples."""
        dk, da, _ = dx.flatten(0, 1).split([len(self.samples), len(self.weights), 1], -1)
        d = self.from_trained + (dk + dk.T) @ self.samples + da @ self.weights
        return (d if self.first.bias is None else d[:, :-1]).reshape(self.shape)

    def _joined(self, params: Params) -> Tensor:
        """Weights, with the bias as their last column."""
        weights = params[self.first.weight]
        if self.first.bias is None:
            return weights
        return torch.cat([weights, params[self.first.bias][:, None]], -1)


def _with_ones(samples: Tensor) -> Tensor:
    return torch.cat([samples, samples.new_ones(len(samples), 1)], -1)


def pays(x: Tensor, n_epochs: int) -> bool:
    """Whether training in the span of ``x`` takes fewer operations than training on the samples."""
    n, n_values = x.shape[0] * x.shape[1], x[0, 0].numel()
    return n_epochs > 1 and 2 * n <= n_values
