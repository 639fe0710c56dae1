"""Where the synthetic samples, labels and step sizes start."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from .._data import Array, Continuous, RealSet, Standardize, as_tensor
from .._distilled import DistilledData, Recipe
from .._engine import DistilledSet, LabelParametrisation
from .._selection import (
    Chooser,
    choose_by_class,
    cluster_centers,
    herding,
    k_centers,
    means_of_halves,
    medoids,
    random_samples,
)

_MAX_ROWS = 2000  # real samples of a class that starting points are chosen from,
_MAX_VALUES = 1 << 21  # and no more values than these
_JITTER = 0.1  # in standard deviations; separates repeated samples
_SMOOTHING = 0.1  # share of the probability that soft labels spread over all classes at first

CHOOSERS: dict[str, Chooser] = {
    "real": random_samples,
    "mean": means_of_halves,
    "kmeans": cluster_centers,
    "herding": herding,
    "kcenters": k_centers,
    "medoids": medoids,
}


def starting_set(
    real: RealSet,
    rows: Array,  # the samples that may be used: none that is held out
    units: Standardize,
    rng: np.random.Generator,
    *,
    data_init: Any,
    schedule: tuple[int, int],  # (n_epochs, n_steps)
    lr: float,
    labels: str,
) -> DistilledSet:
    """The distilled set before the first outer iteration."""
    n_epochs, n_steps = schedule
    if isinstance(real.targets, Continuous):
        x, y = _pairs(data_init, real, rows, n_steps, units, rng)
    else:
        x = _samples(data_init, real, rows, n_steps, units, rng)
        y = class_labels(real.counts, n_steps, smooth=labels == "soft")
    lrs = torch.full((n_epochs, n_steps), float(lr))
    return DistilledSet(x, y, lrs, parametrisation=real.targets.parametrisations[labels])


def continued_set(
    previous: DistilledData,
    recipe: Recipe,
    batch: int,
    lrs_shape: tuple[int, int],
    parametrisation: LabelParametrisation | None,
) -> DistilledSet:
    """The set that the last fit ended with, in the units of this one."""
    assert previous.recipe is not None
    n = lrs_shape[1] * batch
    wanted = (n, *recipe.units.input_shape), lrs_shape, *_labels_of(recipe)
    old = previous.recipe
    shape = len(previous.X), *old.units.input_shape
    found = shape, previous.lrs.shape, *_labels_of(old)
    if wanted != found:
        raise ValueError(
            "warm_start=True continues from the last fit, so (X_syn.shape, lrs.shape, classes, "
            f"labels, n_per_class) must stay {found}, but this fit has {wanted}. Set "
            "warm_start=False to start afresh."
        )
    # Through the units of X, because those of the student may have changed.
    data = DistilledData(previous.X, previous.y, previous.lrs, recipe)
    return DistilledSet(*data.as_tensors(), parametrisation=parametrisation)


def given_samples(X: Any, units: Standardize, n_steps: int, batch: int) -> Tensor:
    """Samples in the units of X, ordered by step, as (n_steps, batch, *sample_shape)."""
    X = np.asarray(X)
    wanted = (n_steps * batch, *units.input_shape)
    if X.shape != wanted or not np.isfinite(X).all():
        raise ValueError(
            f"data_init must be finite and of shape {wanted}, one row for each synthetic sample, "
            f"ordered by step, but has shape {X.shape}."
        )
    z = units(as_tensor(X))
    return z.reshape(n_steps, batch, *z.shape[1:])


def class_labels(
    counts: Array,  # (n_classes,), samples of each class in one mini-batch
    n_steps: int,
    smooth: bool = False,
) -> Tensor:
    """The labels (n_steps, batch, n_classes) of samples that stand class within step."""
    n_classes = len(counts)
    y = torch.eye(n_classes)[np.repeat(np.arange(n_classes), counts)]
    if smooth:  # no probability is 0, because its logarithm is learned
        y = (1 - _SMOOTHING) * y + _SMOOTHING / n_classes
    return y.repeat(n_steps, 1, 1)


def _samples(
    data_init: Any,
    real: RealSet,
    rows: Array,
    n_steps: int,
    units: Standardize,
    rng: np.random.Generator,
) -> Tensor:
    """Standardised samples (n_steps, batch, *sample_shape), class within step."""
    batch = int(real.counts.sum())
    if not isinstance(data_init, str):
        return given_samples(data_init, units, n_steps, batch)
    if data_init == "noise":
        return _noise(n_steps, batch, units, rng)
    choose = CHOOSERS[data_init]

    def choose_distinct(z: Array, wanted: int, rng: np.random.Generator) -> Array:
        distinct = _distinct(z)
        if data_init == "real" or len(distinct) < wanted:
            z = distinct
        chosen = choose(_enough(z, wanted, rng), wanted, rng)
        return _enough(_distinct(chosen), wanted, rng)  # halves of few samples can be equal

    return choose_by_class(
        real.X, [_members(real.y, rows, c) for c in range(len(real.counts))], real.counts,
        n_steps, units, rng, limit=min(_MAX_ROWS, _MAX_VALUES // real.X.shape[1]),
        choose=choose_distinct,
    )  # fmt: skip


def _pairs(
    data_init: Any,
    real: RealSet,
    rows: Array,
    n_steps: int,
    units: Standardize,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Standardised samples (n_steps, batch, *sample_shape) and targets (n_steps, batch, 1).

    Means and clusters are those of samples and targets together. A given sample gets the target of
    the closest real one, and noise gets the targets of random ones.
    """
    batch = int(real.counts.sum())
    wanted = n_steps * batch
    limit = max(wanted, min(_MAX_ROWS, _MAX_VALUES // real.X.shape[1]))
    members = rng.permutation(rows)[:limit]
    z, y = units(as_tensor(real.X[members])).flatten(1).numpy(), real.y[members]
    z = _enough(z, wanted, rng)
    y = np.resize(y, (len(z), y.shape[1]))
    if not isinstance(data_init, str):
        x = given_samples(data_init, units, n_steps, batch)
        nearest = NearestNeighbors(n_neighbors=1).fit(z).kneighbors(x.flatten(2).flatten(0, 1))[1]
        y = y[nearest[:, 0]]
    elif data_init == "noise":
        x, y = _noise(n_steps, batch, units, rng), y[:wanted]
    else:
        pairs = np.hstack([z, y])
        if data_init == "real":
            pairs = _distinct(pairs)
        pairs = _enough(_distinct(CHOOSERS[data_init](pairs, wanted, rng)), wanted, rng)
        x, y = torch.from_numpy(pairs[:, : z.shape[1]]), pairs[:, z.shape[1] :]
        x = x.reshape(n_steps, batch, *units.sample_shape)
    return x, torch.from_numpy(np.ascontiguousarray(y)).reshape(n_steps, batch, -1)


def _noise(n_steps: int, batch: int, units: Standardize, rng: np.random.Generator) -> Tensor:
    shape = n_steps, batch, *units.sample_shape
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def _members(y: Array, rows: Array, c: int) -> Array:
    """The ``rows`` of class or with label ``c``."""
    members = rows[y[rows] == c] if y.ndim == 1 else rows[y[rows, c] == 1]
    if not len(members):
        raise ValueError(
            f"y has label {c} so rarely that all its samples are held out. Lower "
            "validation_fraction, or give more samples with it."
        )
    return members


def _labels_of(recipe: Recipe) -> tuple[list[Any], Any, Any]:
    """Classes, how their labels are learned, and the number of samples of each."""
    classes, parameters = recipe.targets.identity(), recipe.description.get("parameters", {})
    n = parameters.get("n_per_class")
    counts = n if isinstance(n, dict) else dict.fromkeys(map(str, classes), n)
    return classes, parameters.get("labels"), counts


def _distinct(z: Array) -> Array:
    """The distinct samples of ``z``, in the order of their first appearance."""
    return np.stack(list({row.tobytes(): row for row in z}.values()))


def _enough(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """``z``, with jittered repeats where it has fewer samples than are wanted."""
    if len(z) >= wanted:
        return z
    repeats = np.resize(z, (wanted, *z.shape[1:]))[len(z) :]
    moved = repeats + _JITTER * rng.standard_normal(repeats.shape, dtype=np.float32)
    return np.concatenate([z, moved])
