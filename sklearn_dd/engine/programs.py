"""Straight-line programs: the operations of a traced function, those that matter, called fast."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

Binding = Callable[[Any], Any]
"""An operation -> the function that is called for it."""

_aten: Any = torch.ops.aten


def graph_of(function: Callable[..., Any], *inputs: Tensor) -> fx.GraphModule:
    """What ``function`` does for such inputs; an error of some type where that cannot be said.

    Its tensors have no values: what asks for one is refused, and nothing is drawn.
    """
    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


def draws(module: fx.GraphModule) -> bool:
    """Whether a graph has random numbers."""
    return any(torch.Tag.nondeterministic_seeded in _tags(node) for node in module.graph.nodes)


def operations(module: fx.GraphModule) -> list[fx.Node]:
    """The operations of a graph, which from now on needs none whose value an earlier one has."""
    spare = _spare(list(module.graph.nodes))
    ends = ("placeholder", "output")
    return [node for node in module.graph.nodes if node.op not in ends and node not in spare]


def ends(module: fx.GraphModule) -> tuple[list[fx.Node], Any]:
    """What goes into a graph, and what comes out."""
    nodes = list(module.graph.nodes)
    return [node for node in nodes if node.op == "placeholder"], nodes[-1].args[0]


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
                earlier = node if _apart(node, _owner(other), written) else other
        if earlier is not node:
            node.replace_all_uses_with(earlier)
            spare.add(node)
    return spare


def _apart(total: fx.Node, owner: fx.Node, written: set[fx.Node]) -> bool:
    """Whether a sum needs memory of its own: it is given away, or one of the two is changed."""
    given = owner.op == "placeholder" or any(user.op == "output" for user in total.users)
    return given or not written.isdisjoint((total, owner))


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
    while node.target in (operator.getitem, _aten._unsafe_view.default) or (
        isinstance(node.target, OpOverload)
        and any(value.alias_info is not None for value in node.target._schema.returns)
    ):
        node = node.all_input_nodes[0]
    return node


def needed(outputs: Iterable[fx.Node | None], nodes: list[fx.Node]) -> list[fx.Node]:
    """Those of the nodes, in their order, that make ``outputs`` or have effects beside."""
    found = {*outputs, *(node for node in nodes if _has_effects(node))}
    for node in reversed(nodes):
        if node in found:
            found.update(node.all_input_nodes)
    return [node for node in nodes if node in found]


def _tags(node: fx.Node) -> Sequence[torch.Tag]:
    return node.target.tags if isinstance(node.target, OpOverload) else ()


def _has_effects(node: fx.Node) -> bool:
    # The second one's schema hides that it writes running statistics.
    return node.is_impure() or node.target is _aten.native_batch_norm.default


def program(
    module: fx.GraphModule,
    inputs: list[fx.Node],
    body: list[fx.Node],
    outputs: Any,
    binding: Binding,
) -> Callable[..., Any]:
    """A function of ``inputs`` that runs ``body`` and returns ``outputs``."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in body:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        copies[node].target = binding(node.target)
    graph.output(map_arg(outputs, copies.__getitem__))
    return fx.GraphModule(module, graph).forward


def torchs_own(operation: Any) -> Any:
    """torch's own function for an operation, a call of which takes two thirds of the time."""
    if not isinstance(operation, OpOverload) or operation.namespace != "aten":
        return operation
    if any("Optional[Tensor]]" in str(a.type) for a in operation._schema.arguments):
        return operation  # torch's own do not take None for a tensor among others
    name = operation._schema.name.removeprefix("aten::")
    functions = getattr(torch, name, None), getattr(Tensor, name, None)
    plain = (f for f in functions if isinstance(f, BuiltinFunctionType | MethodDescriptorType))
    return next(plain, operation)
