"""What y is: classes, several labels or numbers, on the way to a student and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .data import Array
from .engine.inner_loop import binary_cross_entropy, cross_entropy, mean_squared_error
from .engine.objectives import classification, multilabel, regression
from .evaluation import accuracies, r2_scores, subset_accuracies


@dataclass(frozen=True, eq=False)
class Classes:
    """Class labels, which students see as probabilities; learned labels may be any numbers.

    Parameters
    ----------
    values : ndarray of shape (n_classes,)
        The labels, in the order of the logits.
    """

    values: Array

    loss = staticmethod(cross_entropy)
    objective = staticmethod(classification)
    score = staticmethod(accuracies)

    @property
    def n_outputs(self) -> int:
        """Logits of a student."""
        return len(self.values)

    @property
    def names(self) -> list[Any]:
        """What tells them from others."""
        return self.values.tolist()

    def encode(self, y: Array) -> Tensor:
        """Class labels (n,) as probabilities (n, n_classes); learned labels as they are."""
        if y.ndim == 1:
            y = np.eye(len(self.values))[self.indices(y)]
        return torch.as_tensor(y, dtype=torch.float32)

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """Learned labels (n, n_classes) as they are; fixed ones as class labels (n,)."""
        return y.numpy() if learned else self.values[y.argmax(-1).numpy()]

    def indices(self, y: Array) -> Array:
        """Class labels (n,) as indices; learned labels as they are."""
        return y if y.ndim == 2 else np.searchsorted(self.values, y)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each class (n, n_classes)."""
        return logits.softmax(-1)

    def facts(self) -> dict[str, Any]:
        """What a file holds of them."""
        return {"classes": self.values.tolist(), "classes_dtype": self.values.dtype.str}


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of which a sample may have several or none; learned ones may be any numbers.

    Parameters
    ----------
    n_outputs : int
        Labels, each with a logit of its own.
    """

    n_outputs: int

    loss = staticmethod(binary_cross_entropy)
    objective = staticmethod(multilabel)
    score = staticmethod(subset_accuracies)

    @property
    def values(self) -> Array:
        """Their columns in y."""
        return np.arange(self.n_outputs)

    @property
    def names(self) -> list[Any]:
        """What tells them from others."""
        return ["labels", self.n_outputs]

    def encode(self, y: Array) -> Tensor:
        """Labels (n, n_labels), 1 and 0, as probabilities; learned ones as they are."""
        return torch.as_tensor(y, dtype=torch.float32)

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """Learned labels (n, n_labels) as they are; probabilities as 1 and 0."""
        return y.numpy() if learned else (y > 0.5).long().numpy()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each label (n, n_labels)."""
        return logits.sigmoid()

    def facts(self) -> dict[str, Any]:
        """What a file holds of them."""
        return {"labels": self.n_outputs}


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers, which students see with mean 0 and deviation 1.

    Parameters
    ----------
    shift, scale : float
        Mean and deviation of the real ones.
    """

    shift: float
    scale: float

    loss = staticmethod(mean_squared_error)
    objective = staticmethod(regression)
    score = staticmethod(r2_scores)
    n_outputs: ClassVar[int] = 1
    names: ClassVar[list[Any]] = []

    @classmethod
    def fit(cls, y: Array) -> Numbers:
        """Take mean and deviation of ``y``; a constant keeps its scale."""
        if y.min() == y.max():  # the deviation may be a rounding error
            return cls(float(y[0]), 1.0)
        with np.errstate(over="ignore"):  # which is refused below
            shift, scale = float(y.mean()), float(y.std())
        if not 0 < scale < math.inf:
            raise ValueError(
                f"y must have a deviation that float64 can hold, but it is {scale}, for numbers "
                f"from {y.min()} to {y.max()}. Rescale y."
            )
        return cls(shift, scale)

    def encode(self, y: Array) -> Tensor:
        """Numbers (n,) as they stand in a student's output, (n, 1)."""
        return torch.as_tensor((np.asarray(y) - self.shift) / self.scale, dtype=torch.float32)[
            :, None
        ]

    def decode(self, y: Tensor, learned: bool = True) -> Array:
        """A student's outputs (n, 1) as numbers (n,), in the units of y."""
        return y[:, 0].double().numpy() * self.scale + self.shift

    def facts(self) -> dict[str, Any]:
        """What a file holds of them."""
        return {"numbers": [self.shift, self.scale]}


Targets = Classes | Labels | Numbers


def read_targets(header: Mapping[str, Any]) -> Targets:
    """What `facts` wrote into a file's header."""
    if "numbers" in header:
        shift, scale = map(float, header["numbers"])
        return Numbers(shift, scale)
    if "labels" in header:
        return Labels(int(header["labels"]))
    return Classes(np.array(header["classes"], dtype=np.dtype(header["classes_dtype"])))
