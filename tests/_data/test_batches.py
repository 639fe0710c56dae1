"""The real set stays where it is and goes to the student batch by batch."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ..helpers import (
    tiny_for_images,
)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_memory_map_is_never_copied_to_float_as_a_whole(tmp_path, dtype):
    shape = (6000, 32, 32, 3)
    X = np.memmap(tmp_path / "images", dtype, "w+", shape=shape)
    X[:] = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    X.flush()
    X = np.memmap(tmp_path / "images", dtype, "r", shape=shape)
    y = np.arange(len(X)) % 3
    size_as_float = X.size * np.dtype(np.float32).itemsize
    tiny_for_images().fit(X[:30], y[:30])  # what is imported on the way is not to be counted
    tracemalloc.start()
    try:
        distiller = tiny_for_images().fit(X, y)
        distiller.predict(X)
        distiller.evaluate(X[:100], y[:100], n_inits=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size_as_float / 2
    assert distiller.transform().X.shape == (3, 32, 32, 3)
