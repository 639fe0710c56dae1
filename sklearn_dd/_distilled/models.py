"""Scores of scikit-learn models that learn from distilled data alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from .._data import Array, dense
from .._evaluation import Evaluation
from .._student import fit_model, is_random
from .recipe import Recipe


def evaluate_model(
    model: Any,
    recipe: Recipe,
    X_syn: Array,
    y_syn: Array,
    X: Array,
    y: Any,
    *,
    n_fits: int,
    scoring: Any,
    sample_weight: Array | None,
    seed: int,
    **of_nets: Any,
) -> Evaluation:
    """Fit a model to distilled data, several times if it is random, and score it on real samples.

    Parameters
    ----------
    model : estimator
        The unfitted model.
    recipe : Recipe
        Units and targets.
    X_syn, y_syn : ndarray
        The distilled samples and their labels.
    X, y : array-like
        Real samples, checked.
    n_fits : int
        Number of fits of a model that has a ``random_state``; others are fitted once.
    scoring : str, callable or None
        As in ``DistilledData.evaluate``.
    sample_weight : ndarray or None
        How much each real sample counts.
    seed : int
        Decides the seeds of the fits.
    **of_nets
        Arguments that only nets take, each of which has to be at its default.
    """
    for name, value in of_nets.items():
        if value and not (isinstance(value, str) and value == "random"):
            raise ValueError(
                f"{name}={value!r} is for nets, but student={model!r} takes no gradient steps. "
                f"Leave {name} out."
            )
    y = np.asarray(dense(y))
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    seeds = np.random.default_rng(seed).integers(2**31, size=n_fits if is_random(model) else 1)
    made_of = recipe.units, recipe.targets, X_syn, y_syn
    fits = (fit_model(model, *made_of, int(s), recipe.table) for s in seeds)
    scores = np.array([check_scoring(fit, scoring)(fit, X, y, **weights) for fit in fits])
    return Evaluation(float(scores.mean()), float(scores.std()), scores, scores[None])


def together(evaluations: list[Evaluation]) -> Evaluation:
    """The scores of several students, a row for each."""
    n = max(len(each.scores) for each in evaluations)
    scores = np.stack([np.resize(each.scores, n) for each in evaluations])
    return Evaluation(float(scores.mean()), float(scores.std()), scores, scores[None])
