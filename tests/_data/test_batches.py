"""The real set stays where it is and goes to the student batch by batch."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sklearn_dd._data import RealData, Standardize

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


@pytest.fixture
def real():
    """Rows 10 to 59 of 100 samples that are their own number, in batches of 16."""
    X = np.arange(100.0)[:, None] * np.ones(3)
    rows = np.arange(10, 60)
    return RealData(X, np.arange(100), rows, Standardize((3,), (3,)), 16, torch.device("cpu"))


def test_all_rows_of_a_part_come_once_and_in_order(real):
    xs, ys = zip(*real.in_order(), strict=True)
    assert [len(y) for y in ys] == [16, 16, 16, 2]
    assert torch.cat(ys).tolist() == list(range(10, 60))
    assert_array_equal(torch.cat(xs)[:, 0], torch.cat(ys))
    assert len(real) == 50


def test_batches_are_drawn_from_the_part_alone(real):
    g = torch.Generator().manual_seed(0)
    drawn = [real.sample(g)[1] for _ in range(60)]
    assert {len(y) for y in drawn} == {16}
    assert set(torch.cat(drawn).tolist()) == set(range(10, 60))
    again = torch.Generator().manual_seed(0)
    assert_array_equal(real.sample(again)[1], drawn[0])
    assert any(len(y.unique()) < 16 for y in drawn), "with replacement"


def test_a_batch_that_holds_all_is_all_in_order(real):
    real.batch_size = 50
    _, y = real.sample(torch.Generator())
    assert y.tolist() == list(range(10, 60))


def test_a_batch_is_in_the_units_of_the_student(real):
    units = Standardize((3,), (3,), torch.full((3,), 10.0), torch.full((3,), 5.0))
    part = RealData(real.X, real.y.numpy(), real.rows, units, 4, torch.device("cpu"))
    x, y = part.take(np.array([0, 5]))
    assert y.tolist() == [10, 15]
    assert_array_equal(x, [[0.0] * 3, [1.0] * 3])
