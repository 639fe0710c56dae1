"""Steps as straight-line programs: what autograd does for one of them, written down once.

A step of a small net takes longer to be planned by autograd than to be computed: autograd builds
the graph of the gradient, saves it, and goes through it again. All steps of the same shapes do the
same, so that it is enough to look on once and repeat the operations that were seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from .optimizers import Carry, Cotangent, Objective, Optimizer, PullBack, Pulled, Step

Program = Callable[..., Any]

PATIENCE = 1000  # steps by autograd, before it pays to look on


class Traced:
    """Record the steps of one learner: by autograd at first, and by a program once there were many.

    The program has the operations that autograd ran for one step of the same shapes, in their
    order, so that its results are the same. A net that decides by values or draws at random stays
    with autograd.
    """

    def __init__(self) -> None:
        self._steps: Counter[Any] = Counter()
        self._programs: dict[Any, tuple[Program, Program] | None] = {}

    def __call__(
        self, optimizer: Optimizer, objective: Objective, carry: Carry, step: Step
    ) -> tuple[Carry, PullBack]:
        inputs = [*_flat(carry), *step]
        key = (step[0].dtype, step[0].device, *(t.shape for t in inputs))
        self._steps[key] += 1
        if self._steps[key] == PATIENCE:
            self._programs[key] = trace(optimizer, objective, carry, step)
        programs = self._programs.get(key)
        if programs is None:
            return optimizer.record(objective, carry, step)
        forward, backward = programs
        with torch.no_grad():
            after, saved = forward(*inputs)

        def pull_back(v: Cotangent) -> Pulled:
            with torch.no_grad():
                *before, dx, dy, dlr = backward(*saved, *v)
            return Pulled(before, dx, dy, dlr)

        return _like(carry, after), pull_back


def trace(
    optimizer: Optimizer, objective: Objective, carry: Carry, step: Step
) -> tuple[Program, Program] | None:
    """A step and its pull-back as programs; None where that cannot be.

    The first takes the tensors of a carry and of a step, and returns those of the next carry and
    what the second wants to have saved. The second takes that, and then a cotangent.
    """
    inputs = [*_flat(carry), *step]
    cotangent = [torch.randn_like(t) for t in _flat(carry)]

    def whole(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
        *params, x, y, lr = tensors[: len(inputs)]
        after, pull_back = optimizer.record(objective, _like(carry, params), (x, y, lr))
        v, *rest = pull_back(list(tensors[len(inputs) :]))
        return _flat(after), [*v, *rest]

    try:
        module = make_fx(whole)(*inputs, *cotangent)
    except Exception:  # each thing that cannot be traced has an error of a type of its own
        return None
    return _cut(module, len(inputs))


def _cut(module: fx.GraphModule, n_inputs: int) -> tuple[Program, Program] | None:
    """Two programs of what was traced: all that came before the cotangent, and what came after."""
    nodes = list(module.graph.nodes)
    if any(torch.Tag.nondeterministic_seeded in _tags(node) for node in nodes):
        return None
    for node in nodes:
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
    placeholders = [node for node in nodes if node.op == "placeholder"]
    inputs, cotangent = placeholders[:n_inputs], placeholders[n_inputs:]
    after, pulled = nodes[-1].args[0]
    work = [node for node in nodes[:-1] if node.op != "placeholder"]
    touched = (not {*cotangent}.isdisjoint(node.all_input_nodes) for node in work)
    end = next((i for i, yes in enumerate(touched) if yes), len(work))
    first, second = work[:end], _needed(pulled, work[end:])
    known = {*inputs, *first}
    wanted = dict.fromkeys(a for node in second for a in node.all_input_nodes)
    saved = [node for node in wanted | dict.fromkeys(pulled) if node in known]
    return (
        _program(module, inputs, first, (after, saved)),
        _program(module, [*saved, *cotangent], second, pulled),
    )


def _needed(outputs: Iterable[fx.Node | None], nodes: list[fx.Node]) -> list[fx.Node]:
    """Those of the nodes, in their order, that ``outputs`` are made by or that change a tensor."""
    needed = {*outputs, *(node for node in nodes if _changes_a_tensor(node))}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in nodes if node in needed]


def _tags(node: fx.Node) -> Sequence[torch.Tag]:
    return node.target.tags if isinstance(node.target, torch._ops.OpOverload) else ()


def _changes_a_tensor(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _program(
    module: fx.GraphModule, inputs: list[fx.Node], body: list[fx.Node], outputs: Any
) -> Program:
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in body:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(map_arg(outputs, copies.__getitem__))
    return fx.GraphModule(module, graph).forward


def _flat(carry: Carry) -> list[Tensor]:
    return [tensor for part in carry for tensor in part.values()]


def _like(carry: Carry, tensors: Iterable[Tensor]) -> Carry:
    """The tensors under the names of ``carry``."""
    rest = iter(tensors)
    return tuple({name: next(rest) for name in part} for part in carry)
