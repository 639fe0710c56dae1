"""Methods by name: which hypergradients follow one another, and for which share of a fit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .engine import augmentation
from .engine.clipped import Clipped
from .engine.distribution_matching import DistributionMatching
from .engine.gradient_matching import GradientMatching
from .engine.hypergradient import Estimator, Unrolled
from .engine.inner_loop import Learner, cross_entropy
from .engine.outer_loop import Stateful
from .engine.ridge import Ridge

METHODS: dict[str, Callable[[], Estimator] | None] = {
    "unrolled": None,
    "auto": Ridge,
    "distribution": DistributionMatching,
    "gradient": GradientMatching,
}
AUGMENTATIONS: dict[str, augmentation.Augment] = {
    "flip": augmentation.flip,
    "shift": augmentation.shift,
    "dsa": augmentation.DSA,
}
_WITHOUT_STEP_SIZES = (Ridge, DistributionMatching, GradientMatching)
_FROM_FEATURES = (Ridge, DistributionMatching)
_MICRO_BATCH = 1 << 19  # values of X in one slice of the outer pass on a CPU; more gain nothing


class Phase(NamedTuple):
    """A part of a fit."""

    estimator: Estimator
    end: float  # of the whole fit's budget


def innermost(estimator: Any) -> Any:
    """What an estimator around others differentiates by, such as ``Clipped(Ridge())``."""
    while isinstance(estimator, Clipped | augmentation.Augmented):
        estimator = estimator.estimator
    return estimator


def phases(
    method: Any,
    objective: Any,
    augment: Any,
    learner: Learner,
    sample_shape: tuple[int, ...],
    device: torch.device,
) -> list[Phase]:
    """What ``method`` stands for; estimators that follow one another have equal shares.

    One alone that says nothing of step sizes is followed by `Unrolled`, which learns them and goes
    on with the samples.
    """
    # A callable objective need not be a mean over samples, and a flat batch is small as it is.
    cut = device.type == "cpu" and isinstance(objective, str) and len(sample_shape) > 1
    size = max(1, _MICRO_BATCH // math.prod(sample_shape))
    unrolled: Estimator = Unrolled(micro_batch=size if cut else None)
    sequence: list[Any]
    if isinstance(method, list | tuple):
        sequence = [*method]
    else:
        first: Any = method
        if isinstance(method, str):
            make = METHODS[method]
            first = unrolled if make is None else make()
        alone = isinstance(innermost(first), _WITHOUT_STEP_SIZES)
        sequence = [first, unrolled] if alone else [first]
    if not sequence or not all(callable(e) and not isinstance(e, type) for e in sequence):
        raise ValueError(
            f"method={method!r} must be a name, an estimator of the hypergradient or a list of "
            "such estimators, for example [Ridge(), Unrolled(window=10)]."
        )
    kinds = [innermost(e) for e in sequence]
    # What an object carries from one iteration to the next is not to leave the fit.
    sequence = [copy.deepcopy(e) if isinstance(e, Stateful) else e for e in sequence]
    if any(isinstance(e, _FROM_FEATURES) for e in kinds) and learner.features is None:
        raise ValueError(
            f"method={method!r} works on the features that the student's last linear layer is "
            "given, but this student does not end in one. Take method='unrolled', or a student "
            "whose last layer is an nn.Linear."
        )
    if any(isinstance(e, _WITHOUT_STEP_SIZES) for e in kinds) and learner.loss != cross_entropy:
        raise ValueError(
            f"method={method!r} takes one class a sample, but y holds several labels. Take "
            "method='unrolled'."
        )
    plan = [Phase(e, (k + 1) / len(sequence)) for k, e in enumerate(sequence)]
    if augment is None:
        return plan
    if len(sample_shape) != 3:
        raise ValueError(
            f"augment={augment!r} transforms images, but samples have the shape {sample_shape}. "
            "Give sample_shape=(channels, height, width), or leave augment=None."
        )
    transform = AUGMENTATIONS[augment] if isinstance(augment, str) else augment
    return [Phase(augmentation.Augmented(p.estimator, transform), p.end) for p in plan]
