"""Comparisons that take a moment."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sklearn_dd import Comparison, RandomSamples, compare

from ..helpers import small_baseline

MODELS = {"1-NN": KNeighborsClassifier(1), "logistic": LogisticRegression()}


def small(baseline: Any, **changes: Any) -> Any:
    """A baseline that fits, and learns its schedule, in a moment."""
    return small_baseline(baseline, **({"max_iter": 3} | changes))


class Unused(RandomSamples):
    def fit(self, X: Any, y: Any) -> Unused:
        pytest.fail("it was fitted")


def compared(distiller: Any, split: Any, baselines: Any, **changes: Any) -> Comparison:
    """A comparison, its table as a DataFrame."""
    settings = {"models": MODELS, "n_inits": 3, "n_full": 2, "full_epochs": 2}
    table, verdict = compare(distiller, *split, baselines=baselines, **(settings | changes))
    return Comparison(pd.DataFrame(table), verdict)


def cell(table: pd.DataFrame, data: str, model: str, schedule: str | None = None) -> dict[str, Any]:
    """The one row of a set and a model."""
    rows = table[(table.data == data) & (table.model == model)]
    if schedule is not None:
        rows = rows[rows.schedule == schedule]
    (row,) = rows.to_dict("records")
    return row
