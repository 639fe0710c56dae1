"""The parameters that every distiller has, declared once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._files import PathLike
from .phases import AUGMENTATIONS, METHODS
from .start import CHOOSERS

_POSITIVE_INT = Interval(Integral, 1, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")


@dataclass(kw_only=True, eq=False, repr=False, match_args=False)
class DistillerParameters:
    """Names, defaults and constraints; the distillers' docstrings say what they mean.

    A distiller declares its own parameters in the same way, and other defaults by naming a
    parameter again. The decorator writes the constructor, as scikit-learn wants it: it stores what
    it is given.
    """

    n_steps: int | None = None
    n_epochs: int | None = None
    student: Any = None
    init: Any = "random"
    method: Any = "auto"
    data_init: Any = "auto"
    augment: Any = None
    training_loop: str = "learned"
    distill_lr: float | None = None
    max_iter: int | None = None
    max_time: float | None = None
    outer_lr: float | None = None
    step_size_rate: float | None = None
    batch_size: int | None = None
    n_inits: int | None = None
    random_share: float | None = None
    validation_fraction: float = 0.1
    n_iter_no_change: int | None = None
    sample_shape: tuple[int, ...] | None = None
    standardize: bool = True
    device: str | torch.device = "auto"
    random_state: Any = None
    verbose: int = 0
    warm_start: bool = False
    checkpoint: PathLike | None = None
    checkpoint_every: int = 100

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_steps": [None, _POSITIVE_INT],
        "n_epochs": [None, Interval(Integral, 0, None, closed="left")],
        "student": "no_validation",  # choose_student checks it
        "init": "no_validation",  # weight_prior checks it
        "method": [StrOptions({"auto", *METHODS}), list, tuple, callable],
        "data_init": [StrOptions({"auto", "noise", *CHOOSERS}), "array-like"],
        "augment": [None, StrOptions(set(AUGMENTATIONS)), callable],
        "training_loop": [StrOptions({"learned", "any"})],
        "distill_lr": [None, _POSITIVE],
        "max_iter": [None, _POSITIVE_INT],
        "max_time": [None, _POSITIVE],
        "outer_lr": [None, _POSITIVE],
        "step_size_rate": [None, Interval(Real, 0, None, closed="left")],
        "batch_size": [None, _POSITIVE_INT],
        "n_inits": [None, _POSITIVE_INT],
        "random_share": [None, Interval(Real, 0, 1, closed="both")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [None, _POSITIVE_INT],
        "sample_shape": [None, tuple, list],
        "standardize": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "checkpoint": [None, str, os.PathLike],
        "checkpoint_every": [_POSITIVE_INT],
    }
