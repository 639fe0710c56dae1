"""What is needed, beside the triple (X, y, lrs), to train a student on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import torch

from .._data import Array, Continuous, Standardize, Table, Targets
from .._engine import SGD, Adam, Optimizer, Pool, Prior, StudentFn, Weights
from .._student import (
    Acceleration,
    Spec,
    StudentSpec,
    named,
    rebuilt,
    specify,
    student_fn,
    weight_prior,
)
from .provenance import identity

STUDENT = ("student", "student_arguments", "student_optimizer")  # keys of a description
_DESCENT = SGD()
# For nets that learn from data that were distilled for models alone.
_EPOCHS, _ADAM_LR, _LR = 100, 0.003, 0.1


class LostWeights(Enum):
    """The weights that data were distilled for, if students start from random ones instead."""

    KNOWN_NET = "one known net, whose weights do not fit this {}"
    POOL = "a pool of nets that do not fit this {}"
    NOT_IN_FILE = "weights that a file does not hold"


@dataclass(eq=False)
class Recipe:
    """What is needed, beside the triple (X, y, lrs), to train a student on it.

    Attributes
    ----------
    targets : Multiclass, Multilabel or Continuous
        The kind of y, and how it is converted for students.
    units : Standardize
        Layout and affine map of the samples.
    weights : dict or None
        Initial parameters of the known net, if ``init`` is ``"fixed"`` or a single net.
    student : None, nn.Module class or NeuralNetClassifier
        The student that the data were distilled for. A file cannot hold it, and keeps only its name
        in `description`.
    init : {"random", "fixed"}, callable, list, dict, str or path-like
        The weight prior that they were distilled for. A file cannot hold a callable or a pool.
    description : dict
        How the data were made: student, parameters, seed and versions. ``train`` checks the student
        against it, and a warm start checks the labels. ``evaluate`` takes its seed from it.
    optimizer : Optimizer
        The inner optimiser that takes the steps of the schedule.
    table : Table or None
        How a DataFrame of mixed columns becomes numbers; None if X is plain numbers.
    """

    targets: Targets
    units: Standardize
    weights: Weights | None = None
    student: Any = None
    init: Any = "random"
    description: dict[str, Any] = field(default_factory=dict)
    optimizer: Optimizer = _DESCENT
    table: Table | None = None

    @property
    def classes(self) -> Array:
        """Class labels, in the order of the logits."""
        assert not isinstance(self.targets, Continuous)
        return self.targets.values

    def numbers(self, X: Any) -> Array:
        """Samples as numbers, whether they are a table or not."""
        if self.table is not None and hasattr(X, "columns"):
            return self.table.encode(X)
        return np.array(X)

    def chosen(self, student: Any = None) -> Any:
        """The student that is named, by default the one that the data were distilled for.

        A file holds the name of a student only, which is enough for those of this package and of
        scikit-learn.
        """
        student = self.student if student is None else student
        if student is None and self.description:
            name, arguments, _ = (self.description.get(key) for key in STUDENT)
            student = rebuilt(name or "", arguments or {})
        return named(student, self.targets)

    def spec(self, student: Any = None) -> Spec:
        """The specification of ``student``, by default the one that the data were distilled for.

        A skorch net is trained by its own optimiser.
        """
        student = self.chosen(student)
        return specify(student, self.units.sample_shape, self.targets, self.optimizer)

    def net(self, student: Any = None) -> StudentSpec:
        """The specification of one net, by default the one that the data were distilled for."""
        spec = self.spec(student)
        if not isinstance(spec, StudentSpec):
            raise TypeError(
                f"student must be one net here, which takes gradient steps, but it is {spec.name}. "
                "Name a net, for example student=MLP."
            )
        return spec

    def student_fn(
        self, spec: StudentSpec, device: torch.device, acceleration: Acceleration | None = None
    ) -> StudentFn:
        """The student of ``spec`` as pure functions for the engine."""
        return student_fn(spec, device, self.targets.loss, acceleration)

    def prior(self, spec: StudentSpec, seed: int) -> Prior:
        """The weight prior for students of ``spec``.

        A student that the data were not distilled for uses their prior only if it is a callable.
        Otherwise it starts from random weights.
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
        """The weights that the data were distilled for, if ``prior`` draws random ones instead."""
        init = self.description.get("parameters", {}).get("init", "random")
        if isinstance(prior, Pool) or callable(self.init):
            return None
        if self.weights is not None:
            return LostWeights.KNOWN_NET
        if not isinstance(self.init, str):
            return LostWeights.POOL
        return None if init in ("random", "fixed") else LostWeights.NOT_IN_FILE


def first_of(student: Any) -> Any:
    """The student, or the first of several."""
    return student[0] if isinstance(student, list | tuple) else student


def schedule(lrs: Array, optimizer: Optimizer) -> Array:
    """The step sizes of nets; where none were learned, those of an ordinary loop."""
    lr = _ADAM_LR if isinstance(optimizer, Adam) else _LR
    return lrs if len(lrs) else np.full((_EPOCHS, lrs.shape[1]), lr, np.float32)
