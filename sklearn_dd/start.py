"""Where the synthetic samples start."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

from .data import Array, Standardize, as_tensor
from .distilled import DistilledData, Recipe
from .engine.distilled_set import DistilledSet, Link

_MAX_ROWS = 2000  # real samples of a class that means and clusters are taken of,
_MAX_VALUES = 1 << 21  # and no more numbers than these
_JITTER = 0.1  # in standard deviations; tells repeated samples apart
_SMOOTHING = 0.1  # soft labels start from the hard ones with so much of the mass spread out


def starting_samples(
    data_init: Any,
    X: Array,  # (n, n_features)
    y: Array,  # (n,), class indices, or (n, n_labels), of which each sample may have several
    rows: Array,  # the samples that may be looked at: none that is held out
    counts: Array,  # (n_classes,), samples of each class in one mini-batch
    n_steps: int,
    standardize: Standardize,
    rng: np.random.Generator,
) -> Tensor:
    """Standardised samples (n_steps, batch, *sample_shape), class within step.

    ``data_init`` is ``"noise"`` (standard normal), ``"real"`` (random samples of the class),
    ``"mean"`` (each the mean of an equal random share of the class), ``"kmeans"`` (the class's
    cluster centres) or an array in the units of X, ordered by step. A class that has fewer real
    samples than are wanted repeats them, slightly moved apart.
    """
    shape = standardize.sample_shape
    if not isinstance(data_init, str):
        return _given(data_init, standardize, n_steps, int(counts.sum()))
    if data_init == "noise":
        noise = rng.standard_normal((n_steps, counts.sum(), *shape), dtype=np.float32)
        return torch.from_numpy(noise)
    looked_at = min(_MAX_ROWS, _MAX_VALUES // X.shape[1])
    by_class = []
    for c, count in enumerate(counts):
        wanted = n_steps * count
        members = rng.permutation(_members(y, rows, c))[: max(wanted, looked_at)]
        z = standardize(as_tensor(X[members])).numpy()
        distinct = _distinct(z)
        if data_init == "real" or len(distinct) < wanted:
            z = distinct
        z = _enough(z, wanted, rng)
        by_class.append(_pick(data_init, z, wanted, rng).reshape(n_steps, count, *shape))
    return torch.from_numpy(np.concatenate(by_class, axis=1))


def starting_labels(
    counts: Array,  # (n_classes,), samples of each class in one mini-batch
    n_steps: int,
    soft: bool,
) -> Tensor:
    """The labels (n_steps, batch, n_classes) of samples that stand class within step."""
    n_classes = len(counts)
    y = torch.eye(n_classes)[np.repeat(np.arange(n_classes), counts)]
    if soft:  # no probability is 0, for it is learned as a logarithm
        y = (1 - _SMOOTHING) * y + _SMOOTHING / n_classes
    return y.repeat(n_steps, 1, 1)


def _members(y: Array, rows: Array, c: int) -> Array:
    """The ``rows`` of one class, or with one label."""
    of_class = rows[y[rows] == c] if y.ndim == 1 else rows[y[rows, c] == 1]
    if not len(of_class):
        raise ValueError(
            f"y has label {c} so rarely that all its samples are held out. Lower "
            "validation_fraction, or give more samples with it."
        )
    return of_class


def starting_pairs(
    data_init: Any,
    X: Array,  # (n, n_features)
    y: Array,  # (n, n_outputs), standardised
    rows: Array,  # the samples that may be looked at: none that is held out
    batch: int,
    n_steps: int,
    standardize: Standardize,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Standardised samples (n_steps, batch, *sample_shape) and numbers (n_steps, batch, n_outputs).

    Means and clusters are those of samples and numbers together. A given sample gets the number of
    the real one that is closest, and noise that of any.
    """
    shape, wanted = standardize.sample_shape, n_steps * batch
    looked_at = max(wanted, min(_MAX_ROWS, _MAX_VALUES // X.shape[1]))
    members = rng.permutation(rows)[:looked_at]
    z, numbers = standardize(as_tensor(X[members])).flatten(1).numpy(), y[members]
    z = _enough(z, wanted, rng)
    numbers = np.resize(numbers, (len(z), y.shape[1]))
    if not isinstance(data_init, str):
        x = _given(data_init, standardize, n_steps, batch)
        nearest = NearestNeighbors(n_neighbors=1).fit(z).kneighbors(x.flatten(2).flatten(0, 1))[1]
        numbers = numbers[nearest[:, 0]]
    elif data_init == "noise":
        noise = rng.standard_normal((n_steps, batch, *shape), dtype=np.float32)
        x, numbers = torch.from_numpy(noise), numbers[:wanted]
    else:
        pairs = _pick(data_init, np.hstack([z, numbers]), wanted, rng)
        x, numbers = torch.from_numpy(pairs[:, : z.shape[1]]), pairs[:, z.shape[1] :]
        x = x.reshape(n_steps, batch, *shape)
    return x, torch.from_numpy(np.ascontiguousarray(numbers)).reshape(n_steps, batch, -1)


def new_set(
    x: Tensor,  # (n_steps, batch, *sample_shape)
    y: Tensor,  # (n_steps, batch, n_outputs)
    n_epochs: int,
    lr: float,
    link: Link | None,
) -> DistilledSet:
    """These samples and labels, and one step size for all steps."""
    lrs = torch.full((n_epochs, len(x)), float(lr))
    return DistilledSet(x, y, lrs, link=link)


def continued_set(
    previous: DistilledData,
    recipe: Recipe,
    batch: int,
    lrs_shape: tuple[int, int],
    link: Link | None,
) -> DistilledSet:
    """The set that the last fit ended with, in the units of this one."""
    assert previous.recipe is not None
    n = lrs_shape[1] * batch
    wanted = (n, *recipe.standardize.input_shape), lrs_shape, *_kind(recipe)
    found = previous.X.shape, previous.lrs.shape, *_kind(previous.recipe)
    if wanted != found:
        raise ValueError(
            "warm_start=True continues from the last fit, so (X_syn.shape, lrs.shape, classes, "
            f"labels, n_per_class) must stay {found}, but this fit has {wanted}. Set "
            "warm_start=False to start anew."
        )
    data = DistilledData(previous.X, previous.y, previous.lrs, recipe)
    return DistilledSet(*data.as_tensors(), link=link)


def _kind(recipe: Recipe) -> tuple[list[Any], Any, Any]:
    """Classes, how their labels are learned, and how many samples each has."""
    names, parameters = recipe.targets.names, recipe.description.get("parameters", {})
    n = parameters.get("n_per_class")
    counts = n if isinstance(n, dict) else dict.fromkeys(map(str, names), n)
    return names, parameters.get("labels"), counts


def _distinct(z: Array) -> Array:
    """Each sample of ``z`` once, where it stands first."""
    return np.stack(list({row.tobytes(): row for row in z}.values()))


def _enough(z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """``z`` as it is or, where it has fewer samples than are wanted, repeated and moved apart."""
    if len(z) >= wanted:
        return z
    repeats = np.resize(z, (wanted, *z.shape[1:]))[len(z) :]
    moved = repeats + _JITTER * rng.standard_normal(repeats.shape, dtype=np.float32)
    return np.concatenate([z, moved])


def _pick(data_init: str, z: Array, wanted: int, rng: np.random.Generator) -> Array:
    """``wanted`` starting points from the real samples ``z``, such as those of one class."""
    if data_init == "real":
        return z[:wanted]
    if data_init == "mean":
        return np.stack([share.mean(0) for share in np.array_split(z, wanted)])
    return cluster_centers(z.reshape(len(z), -1), wanted, rng).reshape(wanted, *z.shape[1:])


def cluster_centers(z: Array, n: int, rng: np.random.Generator) -> Array:
    """Centres (n, n_features) of k-means clusters of ``z``."""
    kmeans = KMeans(n, n_init=1, random_state=int(rng.integers(2**31)))
    # Several threads add their sums in the order in which they come, so to other bits each time.
    with threadpool_limits(1, user_api="openmp"):
        return kmeans.fit(z).cluster_centers_.astype(np.float32)


def _given(data_init: Any, standardize: Standardize, n_steps: int, batch: int) -> Tensor:
    X = np.asarray(data_init)
    wanted = (n_steps * batch, *standardize.input_shape)
    if X.shape != wanted or not np.isfinite(X).all():
        raise ValueError(
            f"data_init must be finite and of shape {wanted}, one row for each synthetic sample, "
            f"ordered by step, but has shape {X.shape}."
        )
    z = standardize(as_tensor(X))
    return z.reshape(n_steps, batch, *z.shape[1:])
