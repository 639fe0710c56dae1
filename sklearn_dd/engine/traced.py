"""Steps as straight-line programs: what autograd does for one of them, written down once.

A step of a small net takes longer to be planned by autograd than to be computed: autograd builds
the graph of the gradient, saves it, and goes through it again. All steps of the same shapes do the
same, so that it is enough to trace one and to repeat its operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import current_thread, main_thread
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from .optimizers import Carry, Cotangent, Objective, Optimizer, Params, PullBack, Pulled, Step, flat
from .programs import Binding, draws, ends, graph_of, needed, operations, program, torchs_own

TRACE_AFTER = 1000  # steps by autograd, which take longer than to trace one


class Programs(NamedTuple):
    """One step, and its pull-back."""

    forward: Callable[..., tuple[list[Tensor], list[Any]]]  # carry, step -> next carry, saved
    backward: Callable[..., list[Any]]  # saved, cotangent -> cotangent before; for x, y and lr

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

    A program has the operations that autograd ran for one such step, in their order, less detached
    copies, double transposes and sums with zeros. It is used where its results, on two steps that
    have nothing in common, equal autograd's; a net that decides by values or draws at random stays
    with autograd. One object serves one learner, in one thread; only the main one traces.

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
        self._programs: dict[Any, Any] = {}

    def start(self, params: Params) -> Carry:
        """The carry before the first step."""
        return self.optimizer.start(params)

    def update(self, carry: Carry, gradient: Params, lr: Tensor) -> Carry:
        """The carry after a step along ``gradient``; differentiable."""
        return self.optimizer.update(carry, gradient, lr)

    def step(self, objective: Objective, carry: Carry, step: Step) -> Carry:
        """The carry after one step; no graph. It may overwrite its argument."""
        program = self._found(trace_step, objective, carry, step)
        if program is None:
            return self.optimizer.step(objective, carry, step)
        return program(carry, step)

    def record(self, objective: Objective, carry: Carry, step: Step) -> tuple[Carry, PullBack]:
        """The carry after one step, and how a cotangent goes back through it."""
        programs = self._found(trace, objective, carry, step)
        if programs is None:
            return self.optimizer.record(objective, carry, step)
        return programs.record(carry, step)

    def _found(
        self, trace: Callable[..., Any], objective: Objective, carry: Carry, step: Step
    ) -> Any:
        """What ``trace`` made of such a step; None where there is nothing, or nothing yet."""
        if objective != self._objective:
            self._forget(objective)
        shapes = (*((t.shape, t.stride(), t.dtype) for t in step), *(p.shape for p in flat(carry)))
        key = trace, shapes
        self._steps[key] += 1
        if self._steps[key] == TRACE_AFTER and current_thread() is main_thread():
            self._programs[key] = trace(self.optimizer, objective, carry, step)
        return self._programs.get(key)


def untraced(optimizer: Optimizer) -> Optimizer:
    """The optimiser whose steps are autograd's."""
    return optimizer.optimizer if isinstance(optimizer, Traced) else optimizer


def trace(optimizer: Optimizer, objective: Objective, carry: Carry, step: Step) -> Programs | None:
    """The programs of a recorded step like this one; None where autograd has to stay."""
    inputs = [*flat(carry), *step]

    def whole(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
        *params, x, y, lr = tensors[: len(inputs)]
        after, pull_back = optimizer.record(objective, _like(carry, params), (x, y, lr))
        v, *rest = pull_back(list(tensors[len(inputs) :]))
        return flat(after), [*v, *rest]

    def cut(module: fx.GraphModule, body: list[fx.Node], binding: Binding) -> Programs:
        return _cut(module, body, binding, len(inputs))

    def results(after: Carry, pull_back: PullBack) -> list[Tensor | None]:
        v, *rest = pull_back([torch.ones_like(p) for p in flat(after)])
        return [*flat(after), *v, *rest]

    def same(programs: Programs, there: Carry, step: Step) -> bool:
        theirs = optimizer.record(objective, there, step)
        return _equal(results(*programs.record(there, step)), results(*theirs))

    inputs_and_cotangent = [*inputs, *map(torch.zeros_like, flat(carry))]
    return _accepted(whole, inputs_and_cotangent, cut, same, carry, step)


def trace_step(
    optimizer: Optimizer, objective: Objective, carry: Carry, step: Step
) -> Callable[[Carry, Step], Carry] | None:
    """The program of a step without a graph like this one; None where autograd has to stay."""

    def whole(*tensors: Tensor) -> list[Tensor]:
        *params, x, y, lr = tensors
        return flat(optimizer.step(objective, _like(carry, params), (x, y, lr)))

    def cut(
        module: fx.GraphModule, body: list[fx.Node], binding: Binding
    ) -> Callable[[Carry, Step], Carry]:
        inputs, outputs = ends(module)
        function = program(module, inputs, needed(outputs, body), outputs, binding)

        def run(carry: Carry, step: Step) -> Carry:
            with torch.no_grad():
                return _like(carry, function(*flat(carry), *step))

        return run

    def same(run: Callable[[Carry, Step], Carry], there: Carry, step: Step) -> bool:
        copy = _like(there, [p.clone() for p in flat(there)])  # a step may write in place
        return _equal(flat(run(copy, step)), flat(optimizer.step(objective, there, step)))

    return _accepted(whole, [*flat(carry), *step], cut, same, carry, step)


def _accepted(
    whole: Callable[..., Any],
    inputs: list[Tensor],
    cut: Callable[[fx.GraphModule, list[fx.Node], Binding], Any],
    same: Callable[[Any, Carry, Step], bool],
    carry: Carry,
    step: Step,
) -> Any:
    """What ``cut`` makes of the operations of ``whole``, if it does the ``same`` on two steps."""
    # For each thing that cannot be traced, or not be run again, there is an error of another type.
    try:
        module = graph_of(whole, *inputs)
    except Exception:
        return None
    if draws(module):
        return None
    body = operations(module)
    params, *state = carry
    for binding in (torchs_own, lambda operation: operation):
        try:
            found = cut(module, body, binding)
            steps = (
                (
                    ({name: sign * p for name, p in params.items()}, *state),
                    (sign * step[0], *step[1:]),
                )
                for sign in (1, -1)
            )
            if all(same(found, *there) for there in steps):
                return found
        except Exception:  # nothing more is known of what torch's own functions refuse
            continue
    return None


def _equal(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> bool:
    return all(
        a is b if a is None or b is None else torch.equal(a, b)
        for a, b in zip(ours, theirs, strict=True)
    )


def _cut(module: fx.GraphModule, body: list[fx.Node], binding: Binding, n_inputs: int) -> Programs:
    """Two programs of what was traced: all that came before the cotangent, and what came after."""
    placeholders, (after, pulled) = ends(module)
    inputs, cotangent = placeholders[:n_inputs], placeholders[n_inputs:]
    touched = (not {*cotangent}.isdisjoint(node.all_input_nodes) for node in body)
    end = next((i for i, yes in enumerate(touched) if yes), len(body))
    second = needed(pulled, body[end:])
    wanted = dict.fromkeys([a for node in second for a in node.all_input_nodes] + pulled)
    known = {*inputs, *body[:end]}
    saved = [node for node in wanted if node in known]
    first = needed([*after, *saved], body[:end])
    return Programs(
        program(module, inputs, first, (after, saved), binding),
        program(module, [*saved, *cotangent], second, pulled, binding),
    )


def _like(carry: Carry, tensors: Iterable[Tensor]) -> Carry:
    """The tensors under the names of ``carry``."""
    rest = iter(tensors)
    return tuple({name: next(rest) for name in part} for part in carry)
