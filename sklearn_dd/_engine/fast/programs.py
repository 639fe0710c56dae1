"""Straight-line programs: the operations of a traced function, without redundant ones."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from ..private_torch import UNSAFE_VIEW, OpOverload, schema

Binding = Callable[[Any], Any]
"""An operation -> the function that a program calls for it."""

_aten: Any = torch.ops.aten
_ZEROS = (_aten.zeros.default, _aten.zeros_like.default)


def draws(module: fx.GraphModule) -> bool:
    """Whether a graph draws random numbers."""
    return any(torch.Tag.nondeterministic_seeded in _tags(node) for node in module.graph.nodes)


def operations(module: fx.GraphModule) -> list[fx.Node]:
    """The operations of a graph without redundant ones. The graph is changed."""
    redundant = _remove_redundant(list(module.graph.nodes))
    ends = ("placeholder", "output")
    return [node for node in module.graph.nodes if node.op not in ends and node not in redundant]


def ends(module: fx.GraphModule) -> tuple[list[fx.Node], Any]:
    """The inputs and the outputs of a graph."""
    nodes = list(module.graph.nodes)
    return [node for node in nodes if node.op == "placeholder"], nodes[-1].args[0]


def _remove_redundant(nodes: list[fx.Node]) -> set[fx.Node]:
    """Replace nodes by earlier nodes of equal value; return the replaced nodes."""
    written = _written(nodes)
    zeros = {node for node in nodes if node.target in _ZEROS} - written
    transposed: dict[fx.Node, fx.Node] = {}
    redundant: set[fx.Node] = set()
    for node in nodes:
        earlier = _detached(node) or _transposed(node, transposed) or _summed(node, zeros, written)
        if earlier is not None:
            node.replace_all_uses_with(earlier)
            redundant.add(node)
    return redundant


def _detached(node: fx.Node) -> fx.Node | None:
    """The original of a detached copy, else None."""
    return node.all_input_nodes[0] if node.target is _aten.detach.default else None


def _transposed(node: fx.Node, transposed: dict[fx.Node, fx.Node]) -> fx.Node | None:
    """For a double transpose the original matrix, for a repeated one the first, else None."""
    if node.target is not _aten.t.default:
        return None
    matrix = node.all_input_nodes[0]
    if matrix.target is _aten.t.default:
        return matrix.all_input_nodes[0]
    earlier = transposed.setdefault(matrix, node)
    return None if earlier is node else earlier


def _summed(node: fx.Node, zeros: set[fx.Node], written: set[fx.Node]) -> fx.Node | None:
    """The other summand of a sum with zeros, else None."""
    if node.target is not _aten.add.Tensor or node.kwargs or zeros.isdisjoint(node.args):
        return None  # keyword arguments scale the second summand
    first, second = node.args
    other = second if first in zeros else first
    if not isinstance(other, fx.Node) or _layout(other) != _layout(node):
        return None  # a Python number, or a sum that is broadcast
    owner = _owner(other)
    # A sum needs its own memory if it is returned, or if it or its summand is changed later.
    returned = owner.op == "placeholder" or any(user.op == "output" for user in node.users)
    return None if returned or not written.isdisjoint((node, owner)) else other


def _layout(node: fx.Node) -> tuple[Any, ...]:
    t = node.meta["val"]
    return t.shape, t.stride(), t.dtype


def _written(nodes: list[fx.Node]) -> set[fx.Node]:
    """The nodes whose memory some operation changes in place."""
    return {
        _owner(value)
        for node in nodes
        if isinstance(node.target, OpOverload) and schema(node.target).is_mutable
        for value in node.all_input_nodes
    }


def _owner(node: fx.Node) -> fx.Node:
    """The node that allocated the memory of this node's value."""
    while node.target in (operator.getitem, UNSAFE_VIEW) or (
        isinstance(node.target, OpOverload)
        and any(value.alias_info is not None for value in schema(node.target).returns)
    ):
        node = node.all_input_nodes[0]
    return node


def needed(outputs: Iterable[fx.Node | None], nodes: list[fx.Node]) -> list[fx.Node]:
    """The nodes that ``outputs`` depend on or that have side effects, in order."""
    required = {*outputs, *(node for node in nodes if _has_effects(node))}
    for node in reversed(nodes):
        if node in required:
            required.update(node.all_input_nodes)
    return [node for node in nodes if node in required]


def _tags(node: fx.Node) -> Sequence[torch.Tag]:
    return node.target.tags if isinstance(node.target, OpOverload) else ()


def _has_effects(node: fx.Node) -> bool:
    # Batch norm writes running statistics, but its schema does not declare it.
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
    """The built-in torch function of an operation; a call takes a third less time."""
    if not isinstance(operation, OpOverload) or operation.namespace != "aten":
        return operation
    if any("Optional[Tensor]]" in str(a.type) for a in schema(operation).arguments):
        return operation  # the built-in functions refuse None in a list of tensors
    name = schema(operation).name.removeprefix("aten::")
    functions = getattr(torch, name, None), getattr(Tensor, name, None)
    plain = (f for f in functions if isinstance(f, BuiltinFunctionType | MethodDescriptorType))
    return next(plain, operation)
