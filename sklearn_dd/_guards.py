"""What a call leaves as it was: the gradient mode, and an estimator whose fit fails; warnings."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import joblib
import sklearn
import torch

P = ParamSpec("P")
R = TypeVar("R")

_INTERNAL = tuple(
    os.path.dirname(path) + os.sep for path in (__file__, sklearn.__file__, joblib.__file__)
)


def with_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """Let ``function`` differentiate even inside ``torch.no_grad`` and ``torch.inference_mode``."""

    @wraps(function)
    def differentiating(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.enable_grad():
            return function(*args, **kwargs)

    return differentiating


def all_or_nothing(fit: Callable[P, R]) -> Callable[P, R]:
    """Restore an estimator if its ``fit`` fails; let ``fit`` differentiate anywhere."""

    @wraps(fit)
    def fit_or_leave(*args: P.args, **kwargs: P.kwargs) -> R:
        estimator: Any = args[0]
        state: dict[str, Any] = vars(estimator)
        before = dict(state)
        try:
            return with_gradients(fit)(*args, **kwargs)
        except BaseException:
            state.clear()
            state.update(before)
            raise

    return fit_or_leave


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INTERNAL):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
