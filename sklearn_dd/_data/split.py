"""The split into rows to train on and held-out rows."""

from __future__ import annotations

import numpy as np

from .._engine import Stream, fold
from .arrays import Array

_MAX_HELD_OUT = 2000  # samples: the standard error of an accuracy of 0.95 is then half a point


def hold_out(strata: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Rows to train on and held-out rows, the same fraction of each stratum."""
    rng = np.random.default_rng(fold(seed, Stream.HELD_OUT))
    fraction = min(fraction, _MAX_HELD_OUT / len(strata))
    held_out = np.zeros(len(strata), dtype=bool)
    for c in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == c))
        held_out[rows[: int(fraction * len(rows))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
