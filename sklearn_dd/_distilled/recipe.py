"""What has to be known beside the triple (X, y, lrs) to train a student on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch

from .._data import Array, Continuous, Standardize, Targets
from .._engine import SGD, Optimizer, Pool, Prior, StudentFn, Weights
from .._student import Acceleration, StudentSpec, choose_student, student_fn, weight_prior
from .provenance import identity

STUDENT = ("student", "student_arguments", "student_optimizer")  # in a description
_DESCENT = SGD()


class LostWeights(Enum):
    """Which weights the data were distilled for, where students start from random ones instead."""

    KNOWN_NET = "one known net, whose weights do not fit this {}"
    POOL = "a pool of nets that do not fit this {}"
    NOT_IN_FILE = "weights that a file does not hold"


@dataclass(eq=False)
class Recipe:
    """What has to be known beside the triple to train a student on it.

    Attributes
    ----------
    targets : Multiclass, Multilabel or Continuous
        What y holds.
    units : Standardize
        Layout and affine map of the samples.
    weights : dict or None
        The known initial parameters where ``init`` is ``"fixed"`` or a list of one net.
    student : None, nn.Module class or NeuralNetClassifier
        What the data were distilled for. A file cannot hold it and keeps its name in `description`.
    init : {"random", "fixed"}, callable or list
        The weight prior that they were distilled for. A file cannot hold a callable or a pool.
    description : dict
        How the data were made: student, parameters, seed, versions. ``train`` compares the student
        with it, a warm start the labels, and ``evaluate`` takes its seed from it.
    optimizer : Optimizer
        What takes the steps of the schedule.
    """

    targets: Targets
    units: Standardize
    weights: Weights | None = None
    student: Any = None
    init: Any = "random"
    description: dict[str, Any] = field(default_factory=dict)
    optimizer: Optimizer = _DESCENT

    @property
    def classes(self) -> Array:
        """Class labels, in the order of the logits."""
        assert not isinstance(self.targets, Continuous)
        return self.targets.values

    def spec(self, student: Any = None) -> StudentSpec:
        """The specification of ``student``, or of the one that the data were distilled for.

        A skorch net brings an optimiser of its own.
        """
        student = self.student if student is None else student
        return choose_student(student, self.units.sample_shape, self.targets, self.optimizer)

    def student_fn(
        self, spec: StudentSpec, device: torch.device, acceleration: Acceleration | None = None
    ) -> StudentFn:
        """The student of ``spec`` as the engine takes it."""
        return student_fn(spec, device, self.targets.loss, acceleration)

    def prior(self, spec: StudentSpec, seed: int) -> Prior:
        """Where students of ``spec`` start.

        If it is not the student that the data were distilled for, it takes their prior only if
        that is a callable.
        """
        if self.weights is not None:
            if {k: tuple(p.shape) for k, p in self.weights.items()} == spec.shapes():
                return Pool([self.weights])
            return weight_prior("random", spec, seed)
        if isinstance(self.init, str) or callable(self.init):
            return weight_prior(self.init, spec, seed)
        own = identity(spec) == identity(self.spec())
        return weight_prior(self.init if own else "random", spec, seed)

    def lost_weights(self, prior: Prior) -> LostWeights | None:
        """Which weights were distilled for, where ``prior`` draws random ones instead."""
        init = self.description.get("parameters", {}).get("init", "random")
        if isinstance(prior, Pool) or callable(self.init):
            return None
        if self.weights is not None:
            return LostWeights.KNOWN_NET
        if not isinstance(self.init, str):
            return LostWeights.POOL
        return None if init in ("random", "fixed") else LostWeights.NOT_IN_FILE
