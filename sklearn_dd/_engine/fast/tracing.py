"""Traced steps: what autograd does in one gradient step, recorded once and repeated.

For a small student, autograd takes longer to plan a step than the processor takes to compute it: it
builds the graph of the gradient, saves it, and walks through it again. All steps of the same shapes
do the same work. So one step is traced, and its operations are repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import current_thread, main_thread
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from ..carry import Carry, Cotangent, InnerLoss, PullBack, Step, StepCotangents, flat, like
from ..optimizers import Optimizer
from ..private_torch import fake_graph
from .programs import Binding, draws, ends, needed, operations, program, torchs_own

TRACE_AFTER = 1000  # steps by autograd, which take longer than tracing one

# What tracing a step, or running what was traced, has been seen to raise.
_REFUSALS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)


class RecordedStep(Protocol):
    """The operations of one step."""

    @classmethod
    def trace(
        cls, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step
    ) -> fx.GraphModule:
        """The graph of a step like this one."""
        ...

    @classmethod
    def from_graph(
        cls, module: fx.GraphModule, body: list[fx.Node], binding: Binding, n_inputs: int
    ) -> RecordedStep:
        """The step as a program."""
        ...

    def run(self, carry: Carry, step: Step) -> Any:
        """Take the step."""
        ...

    def agrees_with(self, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step) -> bool:
        """Whether the program's results equal autograd's, to the bit."""
        ...


@dataclass(frozen=True)
class ForwardStep:
    """A step without a graph.

    Parameters
    ----------
    forward : callable
        Tensors of carry and step -> tensors of the next carry.
    """

    forward: Callable[..., list[Tensor]]

    @classmethod
    def trace(
        cls, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step
    ) -> fx.GraphModule:
        """The graph of a step like this one."""

        def whole(*tensors: Tensor) -> list[Tensor]:
            *before, x, y, lr = tensors
            return flat(optimizer.step(loss, like(carry, before), (x, y, lr)))

        return fake_graph(whole, *flat(carry), *step)

    @classmethod
    def from_graph(
        cls, module: fx.GraphModule, body: list[fx.Node], binding: Binding, n_inputs: int
    ) -> ForwardStep:
        """The step as a program."""
        inputs, outputs = ends(module)
        return cls(program(module, inputs, needed(outputs, body), outputs, binding))

    def run(self, carry: Carry, step: Step) -> Carry:
        """As `Optimizer.step`."""
        with torch.no_grad():
            return like(carry, self.forward(*flat(carry), *step))

    def agrees_with(self, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step) -> bool:
        """Whether the program's results equal autograd's, to the bit."""
        copy = like(carry, [p.clone() for p in flat(carry)])  # a step may write in place
        return _equal(flat(self.run(copy, step)), flat(optimizer.step(loss, carry, step)))


@dataclass(frozen=True)
class ReversibleStep:
    """A step and its pull-back.

    Parameters
    ----------
    forward : callable
        Tensors of carry and step -> tensors of the next carry, and what the pull-back needs.
    backward : callable
        What it needs and a cotangent -> the cotangent before the step; the gradients for x, y, lr.
    """

    forward: Callable[..., tuple[list[Tensor], list[Any]]]
    backward: Callable[..., list[Any]]

    @classmethod
    def trace(
        cls, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step
    ) -> fx.GraphModule:
        """The graph of a step like this one, and then of its pull-back."""
        inputs = [*flat(carry), *step]

        def whole(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
            *before, x, y, lr = tensors[: len(inputs)]
            after, pull_back = optimizer.record(loss, like(carry, before), (x, y, lr))
            v, *rest = pull_back(list(tensors[len(inputs) :]))
            return flat(after), [*v, *rest]

        return fake_graph(whole, *inputs, *map(torch.zeros_like, flat(carry)))

    @classmethod
    def from_graph(
        cls, module: fx.GraphModule, body: list[fx.Node], binding: Binding, n_inputs: int
    ) -> ReversibleStep:
        """Cut the graph in two: the operations before the cotangent is first used, and the rest."""
        placeholders, (after, pulled) = ends(module)
        inputs, cotangent = placeholders[:n_inputs], placeholders[n_inputs:]
        uses_cotangent = (not {*cotangent}.isdisjoint(node.all_input_nodes) for node in body)
        cut = next((i for i, uses in enumerate(uses_cotangent) if uses), len(body))
        second = needed(pulled, body[cut:])
        wanted = dict.fromkeys([a for node in second for a in node.all_input_nodes] + pulled)
        known = {*inputs, *body[:cut]}
        saved = [node for node in wanted if node in known]
        first = needed([*after, *saved], body[:cut])
        return cls(
            program(module, inputs, first, (after, saved), binding),
            program(module, [*saved, *cotangent], second, pulled, binding),
        )

    def run(self, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """As `Optimizer.record`."""
        with torch.no_grad():
            after, saved = self.forward(*flat(carry), *step)

        def pull_back(v: Cotangent) -> StepCotangents:
            with torch.no_grad():
                *before, dx, dy, dlr = self.backward(*saved, *v)
            return StepCotangents(before, dx, dy, dlr)

        return like(carry, after), pull_back

    def agrees_with(self, optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step) -> bool:
        """Whether the programs' results equal autograd's, to the bit."""
        by_autograd = optimizer.record(loss, carry, step)
        return _equal(_results(*self.run(carry, step)), _results(*by_autograd))


@dataclass(eq=False)
class Traced:
    """Takes an optimiser's steps as programs, once there were many of the same shapes.

    A program has the operations that autograd ran for one such step, in their order, without
    detached copies, double transposes and sums with zeros. It is used only if its results equal
    autograd's to the bit on two steps that have nothing in common. A student whose operations
    depend on values, or that draws random numbers, stays with autograd. One object serves one
    student, in one thread; only the main thread traces.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps they are.

    Attributes
    ----------
    n_traced, n_autograd : int
        Steps that were taken by a program, and by autograd.
    refusals : list of str
        Why steps of some shapes stay with autograd.
    """

    optimizer: Optimizer
    n_traced: int = 0
    n_autograd: int = 0
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._forget(None)

    def _forget(self, loss: InnerLoss | None) -> None:
        self._loss = loss
        self._seen: Counter[Any] = Counter()
        self._programs: dict[Any, Any] = {}  # None where steps stay with autograd

    def step(self, loss: InnerLoss, carry: Carry, step: Step) -> Carry:
        """The carry after one step, without a graph. It may overwrite its argument."""
        found = self._find(ForwardStep, loss, carry, step)
        return found.run(carry, step) if found else self.optimizer.step(loss, carry, step)

    def record(self, loss: InnerLoss, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and the step's pull-back."""
        found = self._find(ReversibleStep, loss, carry, step)
        return found.run(carry, step) if found else self.optimizer.record(loss, carry, step)

    def _find(self, kind: Any, loss: InnerLoss, carry: Carry, step: Step) -> Any:
        """The program of such steps; None where they have none, or not yet."""
        if loss != self._loss:
            self._forget(loss)
        shapes = (*((t.shape, t.stride(), t.dtype) for t in step), *(p.shape for p in flat(carry)))
        key = kind, shapes
        self._seen[key] += 1
        due = self._seen[key] >= TRACE_AFTER and key not in self._programs
        if due and current_thread() is main_thread():
            self._programs[key] = self._accept(kind, loss, carry, step)
        found = self._programs.get(key)
        self.n_traced += found is not None
        self.n_autograd += found is None
        return found

    def _accept(self, kind: Any, loss: InnerLoss, carry: Carry, step: Step) -> Any:
        """A program of such steps that agrees with autograd, else None and a refusal."""
        found = accept(kind, self.optimizer, loss, carry, step)
        if isinstance(found, str):
            self.refusals.append(f"{kind.__name__}: {found}")
            return None
        return found


def accept(
    kind: type[RecordedStep], optimizer: Optimizer, loss: InnerLoss, carry: Carry, step: Step
) -> RecordedStep | str:
    """A recorded step that agrees with autograd, or why no such step was found."""
    try:
        module = kind.trace(optimizer, loss, carry, step)
    except _REFUSALS as error:
        return f"it cannot be traced: {_in_one_line(error)}"
    if draws(module):
        return "it draws random numbers"
    body = operations(module)
    n_inputs = len(flat(carry)) + len(step)
    reason = "its results differ from autograd's"
    for binding in (torchs_own, lambda operation: operation):
        try:
            found = kind.from_graph(module, body, binding, n_inputs)
            if all(
                found.agrees_with(optimizer, loss, *there) for there in _two_places(carry, step)
            ):
                return found
        except _REFUSALS as error:
            reason = f"its program cannot be run: {_in_one_line(error)}"
    return reason


def _in_one_line(error: Exception) -> str:
    first, *_ = f"{error}\n".splitlines()  # advice for torch's developers comes after it
    return f"{type(error).__name__}: {first}"


def _two_places(carry: Carry, step: Step) -> list[tuple[Carry, Step]]:
    """The step itself, and one from mirrored parameters on mirrored samples."""
    params, *state = carry
    return [
        (({name: sign * p for name, p in params.items()}, *state), (sign * step[0], *step[1:]))
        for sign in (1, -1)
    ]


def _results(after: Carry, pull_back: PullBack) -> list[Tensor | None]:
    v, *rest = pull_back([torch.ones_like(p) for p in flat(after)])
    return [*flat(after), *v, *rest]


def _equal(a: Sequence[Tensor | None], b: Sequence[Tensor | None]) -> bool:
    return all(
        p is q if p is None or q is None else torch.equal(p, q) for p, q in zip(a, b, strict=True)
    )
