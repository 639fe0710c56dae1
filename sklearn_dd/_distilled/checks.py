"""Checks of distillers that are passed to functions."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from .._data import Multiclass


def check_distiller(distiller: Any, what: str) -> None:
    """Refuse anything but a fitted distiller."""
    if not hasattr(type(distiller), "_distilled_data"):
        raise TypeError(
            f"{what} takes a fitted distiller, got {type(distiller).__name__}. For a pipeline, "
            "pass its last step, pipe[-1]; for a search, best_estimator_."
        )
    check_is_fitted(distiller, "history_")


def check_multiclass(distiller: Any, what: str) -> None:
    """Refuse anything but a distiller that was fitted on a multiclass y."""
    check_distiller(distiller, what)
    kind = distiller.recipe_.targets
    if not isinstance(kind, Multiclass):
        raise ValueError(
            f"{what} takes a multiclass y, but the distiller was fitted on a "
            f"{kind.kind.name.lower()} y. Score it with evaluate."
        )
