"""Multiclass, multilabel and regression targets, and their conversion for students and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .._engine import (
    CLASS_PROBABILITIES,
    LABEL_PROBABILITIES,
    NUMBERS,
    LabelParametrisation,
    TargetKind,
    binary_cross_entropy,
    classification,
    cross_entropy,
    mean_squared_error,
    multilabel,
    regression,
)
from .arrays import Array
from .checks import class_indices, continuous, indicators

Parametrisations = Mapping[str, LabelParametrisation | None]


@dataclass(frozen=True, eq=False)
class Multiclass:
    """Multiclass targets: one class for each sample. Students see class probabilities.

    Parameters
    ----------
    values : ndarray of shape (n_classes,)
        The classes, in the order of the logits.
    """

    values: Array

    kind: ClassVar[TargetKind] = TargetKind.MULTICLASS
    loss = staticmethod(cross_entropy)
    objective = staticmethod(classification)
    parametrisations: ClassVar[Parametrisations] = {
        "hard": None,
        "soft": CLASS_PROBABILITIES,
        "free": NUMBERS,
    }

    @property
    def n_outputs(self) -> int:
        """Number of logits of a student."""
        return len(self.values)

    def identity(self) -> list[Any]:
        """Values that distinguish these targets from others."""
        return self.values.tolist()

    def metadata(self) -> dict[str, Any]:
        """The metadata that a file holds, which `read_targets` reads."""
        return {"classes": self.values.tolist(), "classes_dtype": self.values.dtype.str}

    def check(self, y: Any, n_samples: int) -> Array:
        """Check the y of new samples; return class indices (n,)."""
        return class_indices(y, self.values, n_samples)

    def encode(self, y: Array) -> Tensor:
        """Class labels (n,) as probabilities (n, n_classes); learned labels unchanged."""
        if y.ndim == 1:
            y = np.eye(len(self.values))[self.indices(y)]
        return torch.as_tensor(y, dtype=torch.float32)

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """Learned labels (n, n_classes) unchanged; fixed ones as class labels (n,)."""
        return y.numpy() if learned else self.values[y.argmax(-1).numpy()]

    def indices(self, y: Array) -> Array:
        """Class labels (n,) as indices; learned labels unchanged."""
        return y if y.ndim == 2 else np.searchsorted(self.values, y)

    def predictions(self, outputs: Tensor) -> Array:
        """A student's outputs (n, n_classes) as class labels (n,)."""
        return self.decode(self.probabilities(outputs), learned=False)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """A student's outputs as class probabilities (n, n_classes)."""
        return outputs.softmax(-1)


@dataclass(frozen=True, eq=False)
class Multilabel:
    """Multilabel targets: any number of labels for each sample.

    Parameters
    ----------
    n_outputs : int
        Number of labels. Each has its own logit.
    """

    n_outputs: int

    kind: ClassVar[TargetKind] = TargetKind.MULTILABEL
    loss = staticmethod(binary_cross_entropy)
    objective = staticmethod(multilabel)
    parametrisations: ClassVar[Parametrisations] = {
        "hard": None,
        "soft": LABEL_PROBABILITIES,
        "free": NUMBERS,
    }

    @property
    def values(self) -> Array:
        """The columns of y, which stand for the labels."""
        return np.arange(self.n_outputs)

    def identity(self) -> list[Any]:
        """Values that distinguish these targets from others."""
        return ["labels", self.n_outputs]

    def metadata(self) -> dict[str, Any]:
        """The metadata that a file holds, which `read_targets` reads."""
        return {"labels": self.n_outputs}

    def check(self, y: Any, n_samples: int) -> Array:
        """Check the y of new samples; return 1 and 0 (n, n_labels)."""
        return indicators(y, self.n_outputs, n_samples)

    def encode(self, y: Array) -> Tensor:
        """Labels (n, n_labels) as float32."""
        return torch.as_tensor(y, dtype=torch.float32)

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """Learned labels (n, n_labels) unchanged; probabilities as 1 and 0."""
        return y.numpy() if learned else (y > 0.5).long().numpy()

    def predictions(self, outputs: Tensor) -> Array:
        """A student's outputs (n, n_labels) as 1 and 0."""
        return self.decode(self.probabilities(outputs), learned=False)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """A student's outputs as the probability of each label (n, n_labels)."""
        return outputs.sigmoid()


@dataclass(frozen=True, eq=False)
class Continuous:
    """Regression targets: a real value for each sample. Students see it standardised.

    Parameters
    ----------
    shift, scale : float
        Mean and standard deviation of the real targets.
    """

    shift: float
    scale: float

    kind: ClassVar[TargetKind] = TargetKind.CONTINUOUS
    loss = staticmethod(mean_squared_error)
    objective = staticmethod(regression)
    parametrisations: ClassVar[Parametrisations] = {"hard": None, "free": NUMBERS}
    n_outputs: ClassVar[int] = 1

    @classmethod
    def fit(cls, y: Array) -> Continuous:
        """Compute the mean and standard deviation of ``y``. A constant y has scale 1."""
        if y.min() == y.max():  # the computed standard deviation may not be exactly 0
            return cls(float(y[0]), 1.0)
        with np.errstate(over="ignore"):  # the check below catches an overflow
            shift, scale = float(y.mean()), float(y.std())
        if not 0 < scale < math.inf:
            raise ValueError(
                f"y must have a standard deviation that float64 can hold, but it is {scale}, for "
                f"numbers from {y.min()} to {y.max()}. Rescale y."
            )
        return cls(shift, scale)

    def identity(self) -> list[Any]:
        """Values that distinguish these targets from others: none."""
        return []

    def metadata(self) -> dict[str, Any]:
        """The metadata that a file holds, which `read_targets` reads."""
        return {"numbers": [self.shift, self.scale]}

    def check(self, y: Any, n_samples: int) -> Array:
        """Check the y of new samples; return standardised targets (n, 1)."""
        return self.encode(continuous(y, n_samples)).numpy()

    def encode(self, y: Array) -> Tensor:
        """Targets (n,) as standardised outputs of a student (n, 1)."""
        z = (np.asarray(y) - self.shift) / self.scale
        return torch.as_tensor(z, dtype=torch.float32)[:, None]

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """A student's outputs (n, 1) as values (n,) in the units of y."""
        return y[:, 0].double().numpy() * self.scale + self.shift

    def predictions(self, outputs: Tensor) -> Array:
        """A student's outputs (n, 1) as values (n,) in the units of y."""
        return self.decode(outputs)


Targets = Multiclass | Multilabel | Continuous


def read_targets(header: Mapping[str, Any]) -> Targets:
    """The targets that the header of a file describes, as written by ``metadata``."""
    if "numbers" in header:
        shift, scale = map(float, header["numbers"])
        return Continuous(shift, scale)
    if "labels" in header:
        return Multilabel(int(header["labels"]))
    return Multiclass(np.array(header["classes"], dtype=np.dtype(header["classes_dtype"])))
