"""Tables of mixed columns become numbers, and tables again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from sklearn_dd._data.table import Table, is_table

FRAME = pd.DataFrame(
    {
        "age": [20, 30, 40, 50],
        "income": [1.5, np.nan, 2.5, 3.5],
        "colour": ["red", "blue", "red", None],
        "size": pd.Categorical(
            ["S", "L", "M", "S"], categories=["S", "M", "L", "XL"], ordered=True
        ),
        "member": [True, False, True, True],
        "since": pd.to_datetime(["2020-01-01", "2021-06-01", "2020-02-02", "2022-12-31"]),
        "visits": pd.array([1, None, 3, 4], dtype="Int64"),
        "word": pd.array(["a", "b", None, "a"], dtype="string"),
        "constant": [7, 7, 7, 7],
        "empty": [np.nan] * 4,
    }
)


def test_a_table_comes_back_as_it_was():
    table = Table.of(FRAME)
    z = table.encode(FRAME)
    assert z.shape == (4, table.width)
    assert np.isfinite(z).all()
    assert_frame_equal(table.decode(z), FRAME)


@pytest.mark.parametrize("name", FRAME.columns)
def test_each_column_comes_back_from_numbers_nearby(name):
    frame = FRAME[[name]]
    table = Table.of(frame)
    z = table.encode(frame)
    near = z + np.random.default_rng(0).uniform(-0.05, 0.05, z.shape) * (name != "income")
    assert_frame_equal(table.decode(near), frame)


def test_ranges_are_kept():
    table = Table.of(FRAME[["age", "since"]])
    wild = table.decode(np.array([[-100.0, 0], [1000, 1e6]]))
    assert wild["age"].tolist() == [20, 50]
    assert wild["since"].tolist() == [FRAME["since"].min(), FRAME["since"].max()]


def test_rare_levels_share_a_place():
    words = pd.Series([f"w{k}" for k in range(40) for _ in range(40 - k)], name="word")
    table = Table.of(words.to_frame())
    assert table.width == 21
    decoded = table.decode(table.encode(words.to_frame()))["word"]
    assert set(decoded) == {f"w{k}" for k in range(21)}  # the most frequent of the rare ones


def test_unknown_levels_are_none_of_the_known_ones():
    table = Table.of(FRAME[["colour"]])
    found = table.encode(pd.DataFrame({"colour": ["green", "red"]}))
    assert_array_equal(found.sum(1), [0, 1])


def test_columns_are_found_by_name():
    table = Table.of(FRAME)
    assert_array_equal(table.encode(FRAME[FRAME.columns[::-1]]), table.encode(FRAME))
    with pytest.raises(ValueError, match=r"the columns .* but \['age'\] are missing"):
        table.encode(FRAME.drop(columns="age"))


def test_numbers_nearby_snap_to_what_a_table_can_hold():
    table = Table.of(FRAME)
    z = torch.tensor(table.encode(FRAME))
    near = z + 0.05 * torch.rand(z.shape, generator=torch.Generator().manual_seed(0))
    snapped = table.snap(near)
    assert_frame_equal(table.decode(snapped.numpy()), table.decode(near.numpy()))
    assert torch.equal(table.snap(snapped), snapped)
    assert_array_equal(table.encode(table.decode(snapped.numpy())), snapped)


def test_plain_numbers_need_no_table():
    assert is_table(FRAME)
    assert not is_table(FRAME[["age", "constant"]])
    assert is_table(FRAME[["income"]])
    assert not is_table(np.ones((2, 2)))
    assert not is_table(FRAME[["member"]])
    numbers = {"n": pd.array([1, 2], dtype="Int64"), "m": pd.Series([1, 2.5], dtype=object)}
    assert not is_table(pd.DataFrame(numbers))
    assert is_table(pd.DataFrame({"n": ["1", "2"]}))


def test_true_and_false_and_numbers_among_objects_have_one_place():
    frame = pd.DataFrame({"member": [True, False], "mixed": pd.Series([1, None], dtype=object)})
    frame["maybe"] = pd.array([True, None], dtype="boolean")
    table = Table.of(frame)
    assert table.width == 1 + 2 + 2
    assert table.names() == ["member", "mixed", "mixed is missing", "maybe", "maybe is missing"]
    assert_frame_equal(table.decode(table.encode(frame)), frame)


def test_dates_may_have_a_time_zone():
    dates = pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin").as_unit("us")
    frame = pd.DataFrame({"since": dates})
    assert_frame_equal(Table.of(frame).decode(Table.of(frame).encode(frame)), frame)


def test_columns_with_other_values_are_named():
    table = Table.of(FRAME)
    with pytest.raises(ValueError, match="column 'age' has infinite values"):
        table.encode(FRAME.assign(age=np.inf))
    with pytest.raises(ValueError, match=r"must have numbers in column 'age'.*but has others"):
        table.encode(FRAME.assign(age="old"))
    with pytest.raises(ValueError, match="several columns of the name 'age'"):
        is_table(pd.concat([FRAME, FRAME[["age"]]], axis=1))
