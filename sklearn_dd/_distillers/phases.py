"""From ``method`` to the phases of a fit: which methods follow one another, and for how long."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .. import augmentation
from .._data import Targets
from .._engine import (
    AnyStudent,
    Augment,
    Augmented,
    Direct,
    FunctionMethod,
    Joint,
    Method,
    Objective,
    Several,
    StudentFn,
    as_method,
    members,
)
from ..methods import DistributionMatching, GradientMatching, OrdinaryLoops, Ridge, Unrolled

METHODS: dict[str, Callable[[], Method]] = {
    "unrolled": Unrolled,
    "ridge": Ridge,
    "distribution": DistributionMatching,
    "gradient": GradientMatching,
}
AUGMENTATIONS: dict[str, Augment] = {
    "flip": augmentation.flip,
    "shift": augmentation.shift,
    "dsa": augmentation.DSA,
}
_MICRO_BATCH = 1 << 19  # values of X in one slice of the outer pass on a CPU; more gain nothing


class Phase(NamedTuple):
    """A part of a fit."""

    method: Method
    objective: Objective
    start: float  # as fractions of the fit's budget
    end: float


def phases_of(
    method: Any,
    augment: Any,
    training_loop: str,
    objective: Objective | None,  # None: the user left it at its default
    student: AnyStudent,
    targets: Targets,
    sample_shape: tuple[int, ...],
    device: torch.device,
) -> list[Phase]:
    """The phases that ``method`` stands for; methods that follow one another get equal shares."""
    micro_batch = _micro_batch(objective, sample_shape, device)
    sequence = _sequence(method, micro_batch)
    nets = [s for s in members(student) if isinstance(s, StudentFn)]
    for part in sequence:
        for net in nets:
            _check_serves(part, method, net, targets)
    if training_loop == "any":
        sequence = _for_any_loop(sequence, method, micro_batch)
    if not nets:
        sequence = sequence[:1]
    sequence = [_for_all(part, student, objective, targets.objective) for part in sequence]
    if augment is not None:
        transform = _transformation(augment, sample_shape)
        sequence = [Augmented(part, transform) for part in sequence]
    n = len(sequence)
    return [
        Phase(part, objective or part.default_objective or targets.objective, k / n, (k + 1) / n)
        for k, part in enumerate(sequence)
    ]


def _for_all(
    method: Method, student: AnyStudent, given: Objective | None, usual: Objective
) -> Method:
    """The method for nets, and the direct gradient for models."""
    if not isinstance(student, Several):
        return method if isinstance(student, StudentFn) else Direct()
    # Nets have a copy each: what a method carries must not get from one net to another.
    methods = [
        copy.deepcopy(method) if isinstance(s, StudentFn) and not _is_plain(method)
        else method if isinstance(s, StudentFn) else Direct()
        for s in members(student)
    ]  # fmt: skip
    objectives = [given or part.default_objective or usual for part in methods]
    return Joint(methods, objectives)


def _sequence(method: Any, micro_batch: int | None) -> list[Method]:
    """The methods that follow one another."""
    if isinstance(method, list | tuple):
        parts = [*method]
    elif isinstance(method, str):
        parts = [METHODS[method]()]
    else:
        parts = [method]
    if not parts or not all(callable(part) and not isinstance(part, type) for part in parts):
        raise ValueError(
            f"method={method!r} must be a name, a method object or a list of methods, for example "
            "[Ridge(), Unrolled(window=10)]."
        )
    if method == "unrolled":
        return [Unrolled(micro_batch=micro_batch)]
    # A copy: what a method carries from one iteration to the next must not leave the fit.
    sequence = [m if _is_plain(m) else copy.deepcopy(m) for m in map(as_method, parts)]
    if not isinstance(method, list | tuple) and not sequence[0].learns_step_sizes:
        sequence.append(Unrolled(micro_batch=micro_batch))
    return sequence


def _is_plain(method: Method) -> bool:
    """Whether a method is a function, which carries nothing."""
    return isinstance(method, FunctionMethod) and not hasattr(method.function, "state_dict")


def _micro_batch(
    objective: Objective | None, sample_shape: tuple[int, ...], device: torch.device
) -> int | None:
    """Real samples in one slice of the outer pass; None takes the batch at once."""
    # A user's objective need not be a mean over samples, and a flat batch is small as it is.
    if objective is not None or device.type != "cpu" or len(sample_shape) == 1:
        return None
    return max(1, _MICRO_BATCH // math.prod(sample_shape))


def _check_serves(part: Method, method: Any, student: StudentFn, targets: Targets) -> None:
    """Refuse a method that cannot do what this fit needs."""
    if part.needs_features and student.features is None:
        raise ValueError(
            f"method={method!r} works on the input of the student's last linear layer, but this "
            "student does not end in one. Use method='unrolled', or a student whose last layer is "
            "an nn.Linear."
        )
    if targets.kind not in part.targets:
        kinds = " or ".join(sorted(kind.name.lower() for kind in part.targets))
        raise ValueError(
            f"method={method!r} takes a {kinds} y, but this y is {targets.kind.name.lower()}. Use "
            "method='unrolled'."
        )


def _for_any_loop(sequence: list[Method], method: Any, micro_batch: int | None) -> list[Method]:
    """The methods, those that train by the schedule with other training loops beside it."""
    if not any(part.learns_step_sizes for part in sequence):
        raise ValueError(
            f"training_loop='any' needs a method that trains students by the learned schedule, but "
            f"method={method!r} has none. Add Unrolled() to the list, or leave "
            "training_loop='learned'."
        )
    drawn = Unrolled(window=20, micro_batch=micro_batch)
    return [
        OrdinaryLoops(part, drawn=drawn) if part.learns_step_sizes else part for part in sequence
    ]


def _transformation(augment: Any, sample_shape: tuple[int, ...]) -> Augment:
    if len(sample_shape) != 3:
        raise ValueError(
            f"augment={augment!r} transforms images, but samples have the shape {sample_shape}. "
            "Give sample_shape=(channels, height, width), or leave augment=None."
        )
    return AUGMENTATIONS[augment] if isinstance(augment, str) else augment
