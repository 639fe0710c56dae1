"""Steps as straight-line programs: what autograd does for one of them, written down once.

A step of a small net takes longer to be planned by autograd than to be computed: autograd builds
the graph of the gradient, saves it, and goes through it again. All steps of the same shapes do the
same, so that it is enough to trace one and to repeat its operations.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import current_thread, main_thread
from types import MethodDescriptorType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from .optimizers import Carry, Cotangent, Objective, Optimizer, Params, PullBack, Pulled, Step, flat

TRACE_AFTER = 1000  # steps by autograd, which take longer than to trace one

_aten: Any = torch.ops.aten


class Programs(NamedTuple):
    """One step, and its pull-back."""

    forward: Callable[..., tuple[list[Tensor], list[Any]]]  # carry, step -> next carry, saved
    backward: Callable[..., list[Any]]  # saved, cotangent -> cotangent before; for x, y and lr

    def step(self, carry: Carry, step: Step) -> Carry:
        """As `Optimizer.step` does, but for its argument, which stays."""
        with torch.no_grad():
            return _like(carry, self.forward(*flat(carry), *step)[0])

    def record(self, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """As `Optimizer.record` does."""
        with torch.no_grad():
            after, saved = self.forward(*flat(carry), *step)

        def pull_back(v: Cotangent) -> Pulled:
            with torch.no_grad():
                *before, dx, dy, dlr = self.backward(*saved, *v)
            return Pulled(before, dx, dy, dlr)

        return _like(carry, after), pull_back


class Traced:
    """An optimiser whose steps are programs, once there were many of the same shapes.

    A program has the operations that autograd ran for one such step, in their order, less those
    that come to nothing. It is used where its results, on two steps that have nothing in common,
    are autograd's to the bit; a net that decides by values or draws at random stays with autograd.
    One object serves one learner, in one thread; only the main one traces.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps they are.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._objective = objective
        self._steps: Counter[Any] = Counter()
        self._programs: dict[Any, Programs | None] = {}

    def start(self, params: Params) -> Carry:
        """The carry before the first step."""
        return self.optimizer.start(params)

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        return self.optimizer.update(carry, gradient, lr)

    def step(self, objective: Objective, carry: Carry, step: Step) -> Carry:
        """The carry after one step; no graph. It may overwrite its argument."""
        programs = self._of_shapes(objective, carry, step)
        if programs is None:
            return self.optimizer.step(objective, carry, step)
        return programs.step(carry, step)

    def record(self, objective: Objective, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and how a cotangent goes back through it."""
        programs = self._of_shapes(objective, carry, step)
        if programs is None:
            return self.optimizer.record(objective, carry, step)
        return programs.record(carry, step)

    def _of_shapes(self, objective: Objective, carry: Carry, step: Step) -> Programs | None:
        """The programs of such a step; None where there are none, or not yet."""
        if objective != self._objective:
            self._forget(objective)
        key = (*((t.shape, t.stride(), t.dtype) for t in step), *(p.shape for p in flat(carry)))
        self._steps[key] += 1
        if self._steps[key] == TRACE_AFTER and current_thread() is main_thread():
            self._programs[key] = trace(self.optimizer, objective, carry, step)
        return self._programs.get(key)


def untraced(optimizer: Optimizer) -> Optimizer:
    """The optimiser whose steps are autograd's."""
    return optimizer.optimizer if isinstance(optimizer, Traced) else optimizer


def trace(optimizer: Optimizer, objective: Objective, carry: Carry, step: Step) -> Programs | None:
    """The programs of a step like this one; None where autograd has to stay."""
    inputs = [*flat(carry), *step]

    def whole(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
        *params, x, y, lr = tensors[: len(inputs)]
        after, pull_back = optimizer.record(objective, _like(carry, params), (x, y, lr))
        v, *rest = pull_back(list(tensors[len(inputs) :]))
        return flat(after), [*v, *rest]

    # For each thing that cannot be traced, or not be run again, there is an error of another type.
    try:
        # Tensors without values: what asks for one is refused, and nothing is drawn.
        make = make_fx(whole, tracing_mode="fake", _allow_non_fake_inputs=True)
        programs = _cut(make(*inputs, *map(torch.zeros_like, flat(carry))), len(inputs))
        if programs is None:
            return None
        params, *state = carry
        for sign in (1, -1):
            start = {name: sign * p for name, p in params.items()}, *state
            there = start, (sign * step[0], *step[1:])
            if not _same(programs.record(*there), optimizer.record(objective, *there)):
                return None
    except Exception:
        return None
    return programs


def _same(found: tuple[Carry, PullBack], wanted: tuple[Carry, PullBack]) -> bool:
    """Whether two records are equal to the bit."""
    tensors = []
    for after, pull_back in (found, wanted):
        v, *rest = pull_back([torch.ones_like(p) for p in flat(after)])
        tensors.append([*flat(after), *v, *rest])
    return all(
        a is b if a is None or b is None else torch.equal(a, b)
        for a, b in zip(*tensors, strict=True)
    )


def _cut(module: fx.GraphModule, n_inputs: int) -> Programs | None:
    """Two programs of what was traced: all that came before the cotangent, and what came after."""
    nodes = list(module.graph.nodes)
    if any(torch.Tag.nondeterministic_seeded in _tags(node) for node in nodes):
        return None
    spare = _spare(nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    inputs, cotangent = placeholders[:n_inputs], placeholders[n_inputs:]
    after, pulled = nodes[-1].args[0]
    work = [node for node in nodes[:-1] if node.op != "placeholder" and node not in spare]
    touched = (not {*cotangent}.isdisjoint(node.all_input_nodes) for node in work)
    end = next((i for i, yes in enumerate(touched) if yes), len(work))
    second = _needed(pulled, work[end:])
    wanted = dict.fromkeys([a for node in second for a in node.all_input_nodes] + pulled)
    known = {*inputs, *work[:end]}
    saved = [node for node in wanted if node in known]
    first = _needed([*after, *saved], work[:end])
    return Programs(
        _program(module, inputs, first, (after, saved)),
        _program(module, [*saved, *cotangent], second, pulled),
    )


def _spare(nodes: list[fx.Node]) -> set[fx.Node]:
    """Nodes that have the value of an earlier one, which takes their place."""
    spare: set[fx.Node] = set()
    zeros: set[Any] = set()
    transposed: dict[fx.Node, fx.Node] = {}
    written = _written(nodes)
    for node in nodes:
        earlier = node
        if node.target in (_aten.zeros.default, _aten.zeros_like.default):
            zeros |= {node} - written
        elif node.target is _aten.detach.default:
            earlier = node.all_input_nodes[0]
        elif node.target is _aten.t.default:
            shown = node.all_input_nodes[0]
            again = shown.target is _aten.t.default
            earlier = shown.all_input_nodes[0] if again else transposed.setdefault(shown, node)
        elif node.target is _aten.add.Tensor and not zeros.isdisjoint(node.args):
            other: Any = node.args[node.args[0] in zeros]
            # It may be a number, or have a factor.
            if isinstance(other, fx.Node) and not node.kwargs and _layout(other) == _layout(node):
                changed = not written.isdisjoint((node, _owner(other)))
                earlier = node if changed else other
        if earlier is not node:
            node.replace_all_uses_with(earlier)
            spare.add(node)
    return spare


def _layout(node: fx.Node) -> tuple[Any, ...]:
    t = node.meta["val"]
    return t.shape, t.stride(), t.dtype


def _written(nodes: list[fx.Node]) -> set[fx.Node]:
    """The owners of memory that an operation changes."""
    return {
        _owner(value)
        for node in nodes
        if isinstance(node.target, OpOverload) and node.target._schema.is_mutable
        for value in node.all_input_nodes
    }


def _owner(node: fx.Node) -> fx.Node:
    """The node that made the memory which this one shows."""
    while node.target is operator.getitem or (
        isinstance(node.target, OpOverload)
        and any(value.alias_info is not None for value in node.target._schema.returns)
    ):
        node = node.all_input_nodes[0]
    return node


def _needed(outputs: Iterable[fx.Node | None], nodes: list[fx.Node]) -> list[fx.Node]:
    """Those of the nodes, in their order, that make ``outputs`` or have effects beside."""
    needed = {*outputs, *(node for node in nodes if _has_effects(node))}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in nodes if node in needed]


def _tags(node: fx.Node) -> Sequence[torch.Tag]:
    return node.target.tags if isinstance(node.target, OpOverload) else ()


def _has_effects(node: fx.Node) -> bool:
    # The second one's schema hides that it writes running statistics.
    return node.is_impure() or node.target is torch.ops.aten.native_batch_norm.default


def _program(
    module: fx.GraphModule, inputs: list[fx.Node], body: list[fx.Node], outputs: Any
) -> Callable[..., Any]:
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in body:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        copies[node].target = _binding(node.target)
    graph.output(map_arg(outputs, copies.__getitem__))
    return fx.GraphModule(module, graph).forward


def _binding(target: Any) -> Any:
    """torch's own function for an operation, a call of which takes two thirds of the time."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return target
    name = target._schema.name.removeprefix("aten::")
    method = getattr(Tensor, name, None)
    found = method if isinstance(method, MethodDescriptorType) else target
    return getattr(torch._C._VariableFunctions, name, found)


def _like(carry: Carry, tensors: Iterable[Tensor]) -> Carry:
    """The tensors under the names of ``carry``."""
    rest = iter(tensors)
    return tuple({name: next(rest) for name in part} for part in carry)
