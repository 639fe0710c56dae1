"""n_per_class="auto": n_samples are divided over the classes, more for the diverse and large."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from sklearn_dd._data.allocation import allocate, total_samples

from ..helpers import tiny


def clusters(*n_clusters, rows=32, spread=1e-3):
    """Classes of equally many rows, each in so many clusters of its own."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(k, 5))[np.arange(rows) % k] for k in n_clusters]
    X = np.concatenate(X)
    return X + spread * rng.normal(size=X.shape), np.repeat(np.arange(len(n_clusters)), rows)


# -------------------------------------------------------------------------------------- the total


@pytest.mark.parametrize(
    ("n_samples", "total"),
    [(9, 9), (np.int64(9), 9), (0.5, 50), (0.099, 9), (np.float32(0.25), 25)],
)
def test_a_total_is_a_number_or_a_share_of_the_rows_rounded_down(n_samples, total):
    assert total_samples(n_samples, n_rows=100, n_classes=3, n_steps=2) == total


def test_a_share_in_hundredths_of_a_hundred_rows_is_exact():
    percents = range(6, 100)
    found = [total_samples(percent / 100, 100, n_classes=3, n_steps=2) for percent in percents]
    assert found == [*percents]


@pytest.mark.parametrize(
    ("n_samples", "rule"),
    [
        (None, "n_per_class='auto' divides n_samples .*, but n_samples is None"),
        (5, "n_samples=5 stands for 5 .* 3 classes .* n_steps=2 .* at least 6"),
        (0.05, r"n_samples=0\.05 stands for 5 .* at least 6"),
    ],
)
def test_a_total_that_cannot_be_divided(n_samples, rule):
    with pytest.raises(ValueError, match=f"^{rule}"):
        total_samples(n_samples, n_rows=100, n_classes=3, n_steps=2)


@pytest.mark.parametrize("n_samples", [0, -1, 0.0, 1.0, 1.5, "half", np.nan])
def test_a_number_or_share_out_of_range_is_refused(table, n_samples):
    with pytest.raises(ValueError, match="'n_samples' parameter"):
        tiny(n_per_class="auto", n_samples=n_samples).fit(*table)


def test_n_samples_and_n_per_class_are_not_both_taken(table):
    with pytest.raises(ValueError, match=r"^n_samples=9 is divided .* n_per_class=2\. Give one"):
        tiny(n_per_class=2, n_samples=9).fit(*table)


def test_only_a_multiclass_y_is_divided(table):
    X, y = table
    with pytest.raises(ValueError, match=r"^n_per_class='auto' needs a multiclass y"):
        tiny(n_per_class="auto", n_samples=9).fit(X, np.column_stack([y == 0, y > 0]).astype(int))


# ------------------------------------------------------------------------------------- the shares


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("total", [9, 20, 31])
def test_numbers_add_up_and_no_class_goes_without(table, n_steps, total):
    X, y = table
    counts = allocate(X, y, 3, total, n_steps)
    assert counts.sum() == total // n_steps
    assert counts.min() >= 1


def test_a_class_gets_a_sample_for_each_of_its_clusters():
    X, y = clusters(1, 4, 2, 8)
    assert_array_equal(allocate(X, y, 4, 15, 1), [1, 4, 2, 8])


def test_a_more_diverse_class_gets_more():
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = np.arange(200) % 2
    X[y == 1] *= 5
    few, many = allocate(X, y, 2, 20, 1)
    assert many > 2 * few


def test_a_larger_class_of_the_same_spread_gets_more():
    X, y = np.random.default_rng(0).normal(size=(330, 3)), np.repeat([0, 1], [300, 30])
    many, few = allocate(X, y, 2, 20, 1)
    assert many > 2 * few


def test_classes_of_a_kind_get_as_many():
    X = np.random.default_rng(0).normal(size=(100, 3))
    counts = allocate(np.concatenate([X, X + 9, X - 9]), np.repeat(np.arange(3), 100), 3, 12, 1)
    assert_array_equal(counts, [4, 4, 4])


def test_units_of_the_features_do_not_matter(table):
    X, y = table
    scales = 2.0 ** np.arange(-6, 7)
    assert_array_equal(allocate(X * scales, y, 3, 20, 1), allocate(X, y, 3, 20, 1))


def test_a_constant_feature_does_not_matter(table):
    X, y = table
    wider = np.column_stack([X, np.full(len(X), 5.0)])
    assert_array_equal(allocate(wider, y, 3, 20, 1), allocate(X, y, 3, 20, 1))


def test_images_of_bytes_are_divided_as_numbers_are(images):
    X, y = images
    flat = X.reshape(len(X), -1)
    assert flat.dtype == np.uint8
    assert_array_equal(allocate(flat, y, 3, 20, 1), allocate(flat.astype(float), y, 3, 20, 1))


def test_rows_that_repeat_warn_of_nothing():
    """A table of categories has few distinct rows; users can do nothing about it."""
    X = np.random.default_rng(0).integers(0, 2, size=(100, 3)).astype(float)
    y = np.arange(100) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert allocate(X, y, 2, 20, 1).sum() == 20


def test_a_class_of_one_row_gets_one_sample_and_the_others_the_rest():
    X, y = np.random.default_rng(0).normal(size=(41, 3)), np.repeat([0, 1], [1, 40])
    assert_array_equal(allocate(X, y, 2, 10, 1), [1, 9])


def test_no_class_gets_more_samples_than_it_has_rows_before_all_have_as_many(table):
    X, y = table
    n = np.bincount(y)
    for total in range(100, 179, 13):
        counts = allocate(X, y, 3, total, 1)
        assert counts.sum() == total
        assert (counts <= n).all()
    assert_array_equal(allocate(X, y, 3, 178, 1), n)


def test_samples_beyond_the_number_of_rows_are_divided_as_the_rows_are(table):
    X, y = table
    assert_array_equal(allocate(X, y, 3, 4 * 178, 1), 4 * np.bincount(y))


# ---------------------------------------------------------------------------------------- weights


@pytest.fixture(scope="module")
def unequal():
    """Two classes of the same spread, the second with a twentieth of the rows."""
    X, y = np.random.default_rng(0).normal(size=(500, 4)), np.repeat([0, 1], [475, 25])
    return X, y


def test_a_weight_does_as_repeated_rows(unequal):
    X, y = unequal
    times = np.where(y == 1, 19, 1)
    weighted = allocate(X, y, 2, 20, 1, times.astype(float))
    repeated = allocate(X.repeat(times, axis=0), y.repeat(times), 2, 20, 1)
    assert abs(weighted - repeated).max() <= 1  # k-means starts from other rows
    assert weighted[1] > 3 * allocate(X, y, 2, 20, 1)[1]


def test_rows_that_weigh_alike_are_divided_as_without_weights(table):
    X, y = table
    for total in (9, 20, 31):
        found = allocate(X, y, 3, total, 1, np.full(len(y), 0.3))
        assert_array_equal(found, allocate(X, y, 3, total, 1))


def test_clusters_of_next_to_no_weight_need_no_samples():
    X, y = clusters(8, 8)
    light = np.where((y == 0) & (np.arange(len(y)) % 8 > 0), 1e-9, 1.0)
    assert_array_equal(allocate(X, y, 2, 9, 1, light), [1, 8])
    assert allocate(X, y, 2, 9, 1).min() == 4


@pytest.mark.parametrize("class_weight", ["balanced", {1: 19}], ids=str)
def test_a_rare_class_that_weighs_as_much_gets_as_many(unequal, class_weight):
    auto = {"n_per_class": "auto", "n_samples": 20}
    by_class = tiny(**auto, class_weight=class_weight).fit(*unequal).n_per_class_
    assert by_class[1] >= 8
    assert tiny(**auto).fit(*unequal).n_per_class_[1] <= 3
    weight = compute_sample_weight(class_weight, unequal[1])
    assert tiny(**auto).fit(*unequal, weight).n_per_class_ == by_class


def test_a_class_without_weight_is_named_before_samples_are_divided(table):
    X, y = table
    for sample_weight, class_weight in ((y != 1, None), (y != 1, "balanced"), (None, {1: 0})):
        distiller = tiny(n_per_class="auto", n_samples=12, class_weight=class_weight)
        with pytest.raises(ValueError, match=r"^sample_weight and class_weight .*\[1\]"):
            distiller.fit(X, y, sample_weight)


# ------------------------------------------------------------------------------- reproducibility


def test_the_same_data_are_divided_alike_on_any_number_of_threads():
    X, y = load_digits(return_X_y=True)
    found = []
    for n_threads in (1, 1, 4):
        with threadpool_limits(n_threads):
            found.append(allocate(X, y, 10, 60, 1).tolist())
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) > 1


def test_the_seed_of_the_fit_does_not_matter(table):
    by_seed = [
        tiny(n_per_class="auto", n_samples=15, random_state=seed).fit(*table).n_per_class_
        for seed in range(3)
    ]
    assert by_seed[0] == by_seed[1] == by_seed[2]


# ----------------------------------------------------------------------------------- in a fit


@pytest.mark.parametrize("n_samples", [21, 0.12])
def test_a_fit_learns_so_many_samples_of_each_class(table, n_samples):
    X, y = table
    names = np.array(["red", "rosé", "white"])
    distiller = tiny(n_per_class="auto", n_samples=n_samples, n_steps=2).fit(X, names[y])
    found = dict(zip(*np.unique(distiller.y_syn_, return_counts=True), strict=True))
    assert distiller.n_per_class_ == found
    assert sum(found.values()) == 20
    assert len(set(found.values())) > 1
    assert all(n % 2 == 0 for n in found.values())
    first, second = np.split(distiller.y_syn_, 2)
    assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("n_per_class", "found"), [(2, {0: 2, 1: 2, 2: 2}), ({0: 1, 1: 3, 2: 2}, {0: 1, 1: 3, 2: 2})]
)
def test_given_numbers_are_told_as_well(table, n_per_class, found):
    assert tiny(n_per_class=n_per_class).fit(*table).n_per_class_ == found


def test_after_a_warm_start_the_numbers_are_those_of_the_samples():
    """Of data that would be divided otherwise."""
    X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    X[y == 1] *= 20
    distiller = tiny(n_per_class="auto", n_samples=10, warm_start=True).fit(X, y)
    with contextlib.suppress(ValueError):  # a fit may as well be refused
        distiller.fit(X, 1 - y)
    found = dict(zip(*np.unique(distiller.y_syn_, return_counts=True), strict=True))
    assert distiller.n_per_class_ == found
