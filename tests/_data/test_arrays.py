"""Arrays, tensors, data frames and memory maps: the kind of container changes nothing."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone

from ..helpers import (
    same,
    tiny,
    tiny_for_images,
)

KINDS = {
    "uint8": lambda X: X.astype(np.uint8),
    "uint16": lambda X: X.astype(np.uint16),
    "int64": lambda X: X.astype(np.int64),
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "columns in memory": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "list": lambda X: X.tolist(),
    "tensor": torch.from_numpy,
    "uint8 tensor": lambda X: torch.from_numpy(X.astype(np.uint8)),
    "tensor of a graph": lambda X: torch.from_numpy(X).requires_grad_() * 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "images"])
def test_the_kind_of_array_changes_nothing(images, kind, flat):
    X, y = images[0].astype(float), images[1]
    X = X.reshape(len(X), -1) if flat else X
    make = tiny if flat else tiny_for_images
    expected, found = make().fit(X, y), make().fit(KINDS[kind](X), y)
    assert_array_equal(found.transform().X, expected.transform().X)
    assert_array_equal(found.predict_proba(KINDS[kind](X)), expected.predict_proba(X))
    assert found.score(KINDS[kind](X), y) == expected.score(X, y)
    assert_array_equal(
        found.evaluate(KINDS[kind](X), y, n_inits=2).scores,
        expected.evaluate(X, y, n_inits=2).scores,
    )


def test_labels_in_a_tensor(table):
    X, y = table
    distiller, expected = tiny().fit(X, torch.from_numpy(y)), tiny().fit(X, y)
    assert_array_equal(distiller.transform().X, expected.transform().X)
    assert_array_equal(
        distiller.evaluate(X, torch.from_numpy(y), n_inits=2).scores,
        expected.evaluate(X, y, n_inits=2).scores,
    )


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_data_frames(table, library):
    X, y = table
    frame = library.DataFrame({f"f{i}": column for i, column in enumerate(X.T)})
    labels = library.Series(np.array(["red", "rosé", "white"])[y].tolist())
    distiller = tiny().fit(frame, labels)
    assert_array_equal(distiller.transform().X, tiny().fit_transform(X, y).X)
    assert_array_equal(distiller.transform().y, ["red", "rosé", "white"])
    assert distiller.score(frame, labels) == tiny().fit(X, y).score(X, y)
    assert distiller.evaluate(frame, labels, n_inits=2).scores.shape == (2,)
    student = distiller.transform().train(random_state=0)
    assert_array_equal(student.predict(frame), student.predict(X))


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_read_only_memory_maps_are_read_without_a_word(table, tmp_path, dtype):
    X, y = table[0].astype(dtype), table[1]
    joblib.dump((X, y), tmp_path / "table")
    X_map, y_map = joblib.load(tmp_path / "table", mmap_mode="r")
    assert not X_map.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distiller = tiny().fit(X_map, y_map)
        predicted = distiller.predict(X_map)
        distiller.score(X_map, y_map)
        distiller.evaluate(X_map, y_map, n_inits=2)
        distiller.transform(X_map)
    of_copy = tiny().fit(X, y)
    assert same(distiller.transform(), of_copy.transform())
    assert_array_equal(predicted, of_copy.predict(X))


class ConvertibleToAnArray:
    """Has ``__array__``, and refuses to take part in NumPy's functions."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __array_function__(self, func, types, args, kwargs):
        raise TypeError(f"called {func.__name__} without converting to an array")


@pytest.mark.parametrize("convert", [np.ndarray.tolist, ConvertibleToAnArray])
def test_data_that_are_not_arrays(table, images, convert):  # check_transformer_data_not_an_array
    for distiller, (X, y) in ((tiny(), table), (tiny_for_images(), images)):
        of_array = clone(distiller).fit(X, y)
        of_other = clone(distiller).fit(convert(X), convert(y))
        assert same(of_other.transform(convert(X)), of_array.transform())
        assert_array_equal(of_other.predict(convert(X)), of_array.predict(X))


def test_an_unknown_device(table):
    with pytest.raises(ValueError, match="device='abacus' is not a device that torch knows"):
        tiny(device="abacus").fit(*table)


def test_an_unavailable_device(table):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = next(name for name, available in there.items() if not available)
    for value in (device, torch.device(device)):
        with pytest.raises(ValueError, match=r"device=.*is not available here: choose 'auto'"):
            tiny(device=value).fit(*table)
