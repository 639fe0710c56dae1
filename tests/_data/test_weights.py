"""Weights of rows, and batches in which each row comes as often as its weight says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_dd._data import Continuous, Multiclass, Multilabel, RealData, Standardize
from sklearn_dd._data.weights import checked_weights, row_weights, stratified_rows

WEIGHTS = {
    "few": np.array([1.0, 3.0, 0.0, 0.5, 2.5]),
    "equal": np.ones(7),
    "one for all": np.array([0.0, 4.0, 0.0]),
    "many": np.random.default_rng(0).exponential(size=40),
}
EVEN = (np.arange(1000) + 0.5) / 1000  # positions in a stratum, as many as fill it evenly


def counts(weights, n, positions):
    """How often each row is drawn."""
    rows = stratified_rows(weights, n, np.broadcast_to(positions, (n,)))
    return np.bincount(rows, minlength=len(weights))


@pytest.fixture(params=WEIGHTS)
def weights(request):
    return WEIGHTS[request.param]


@pytest.fixture(params=[1, 4, 32])
def n(request):
    return request.param


# ------------------------------------------------------------------------------- stratified_rows


def test_over_all_positions_each_row_comes_as_often_as_its_weight_says(weights, n):
    mean = np.mean([counts(weights, n, position) for position in EVEN], axis=0)
    assert_allclose(mean, n * weights / weights.sum(), atol=2 / len(EVEN) * n)


def test_the_mean_over_random_draws_is_the_weighted_mean(weights, n):
    rng = np.random.default_rng(1)
    values = rng.normal(size=len(weights))
    means = [values[stratified_rows(weights, n, rng.random(n))].mean() for _ in range(2000)]
    error = np.std(means) / np.sqrt(len(means))
    assert np.mean(means) == pytest.approx(
        np.average(values, weights=weights), abs=5 * error + 1e-12
    )


def test_a_count_differs_from_its_expectation_by_less_than_two(weights, n):
    """A row fills strata, which are sure to draw it, and parts of two, which may or may not."""
    rng, expected = np.random.default_rng(2), n * weights / weights.sum()
    for _ in range(300):
        assert (abs(counts(weights, n, rng.random(n)) - expected) < 2).all()


def test_a_count_may_differ_by_more_than_one():
    found = [counts(np.array([0.6, 0.8, 0.6]), 2, p)[1] for p in ([0.5, 0.5], [0.7, 0.2])]
    assert found == [0, 2], "where 0.8 are expected"


def test_with_one_position_for_all_strata_a_count_differs_by_less_than_one(weights, n):
    expected = n * weights / weights.sum()
    for position in EVEN[::10]:
        assert (abs(counts(weights, n, position) - expected) < 1 + 1e-9).all()


def test_draws_vary_less_than_independent_ones(n):
    weights, rng = WEIGHTS["many"], np.random.default_rng(3)
    values, p = np.arange(len(weights)), weights / weights.sum()
    stratified = [values[stratified_rows(weights, n, rng.random(n))].mean() for _ in range(500)]
    independent = [rng.choice(values, n, p=p).mean() for _ in range(500)]
    assert np.var(stratified) < (1.3 if n == 1 else 0.5) * np.var(independent)


@pytest.mark.parametrize("position", [0.0, 0.5, 1 - 1e-9])
def test_a_row_of_weight_0_is_never_drawn(position, n):
    weights = np.array([0.0, 1.0, 0.0, 0.0, 2.0, 0.7, 0.0])
    drawn = stratified_rows(weights, n, np.full(n, position))
    assert set(drawn) <= {1, 4, 5}


def test_rows_that_weigh_alike_fill_a_batch_of_their_number_once_each():
    rows = stratified_rows(np.full(16, 0.25), 16, np.random.default_rng(0).random(16))
    assert_array_equal(rows, np.arange(16))


def test_the_scale_of_the_weights_does_not_matter(weights, n):
    positions = np.random.default_rng(4).random(n)
    assert_array_equal(
        stratified_rows(weights, n, positions), stratified_rows(8 * weights, n, positions)
    )


# ---------------------------------------------------------------------------------- row_weights

THREE = Multiclass(np.array(["a", "b", "c"]))
Y = np.array([0, 0, 0, 1, 1, 2])


def test_rows_that_count_alike_have_no_weights():
    for sample_weight in (None, np.ones(6), np.full(6, 0.1), [7] * 6):
        assert row_weights(Y, THREE, None, sample_weight) is None
    assert row_weights(np.array([0, 1, 2]), THREE, "balanced", None) is None
    assert row_weights(Y, THREE, {"a": 2, "b": 3, "c": 6}, [3, 3, 3, 2, 2, 1]) is None


def test_weights_have_mean_one_and_keep_their_ratios():
    found = row_weights(Y, THREE, None, [1, 2, 0, 4, 5, 6])
    assert found.mean() == pytest.approx(1)
    assert_allclose(found / found[0], [1, 2, 0, 4, 5, 6])


def test_a_balanced_weight_is_that_of_scikit_learn():
    found = row_weights(Y, THREE, "balanced", None)
    assert_allclose(found, compute_sample_weight("balanced", Y))
    assert_allclose(np.bincount(Y, found), [2, 2, 2])


def test_balanced_classes_weigh_alike_with_weights_of_samples_too():
    given = np.array([1.0, 2, 6, 1, 5, 0.5])
    found = row_weights(Y, THREE, "balanced", given)
    assert_allclose(np.bincount(Y, found), [2, 2, 2])
    within = found / given
    assert_allclose(within[:3], within[0])
    assert_allclose(within[3:5], within[3])


def test_balanced_weights_are_those_of_repeated_rows():
    times = np.array([1, 2, 3, 1, 0, 4])
    weighted = row_weights(Y, THREE, "balanced", times)
    repeated = row_weights(Y.repeat(times), THREE, "balanced", None)
    totals = np.bincount(np.arange(6).repeat(times), repeated, minlength=6)
    assert_allclose(weighted / weighted.sum(), totals / totals.sum())


def test_a_class_that_the_dict_does_not_name_has_weight_one():
    found = row_weights(Y, THREE, {"b": 3.0}, None)
    assert_allclose(found / found[0], [1, 1, 1, 3, 3, 1])


def test_weights_of_classes_and_of_samples_are_multiplied():
    found = row_weights(Y, THREE, {"a": 2, "c": 5}, [1, 2, 3, 1, 2, 3])
    assert_allclose(found / found[3], [2, 4, 6, 1, 2, 15])


@pytest.mark.parametrize(
    "targets", [Multilabel(2), Continuous(0.0, 1.0)], ids=["labels", "numbers"]
)
def test_other_targets_have_weights_of_samples_alone(targets):
    y = np.ones((3, targets.n_outputs), dtype=np.float32)
    assert_allclose(row_weights(y, targets, None, [1, 2, 3]), [0.5, 1, 1.5])
    with pytest.raises(ValueError, match=r"^class_weight=.* multiclass y.*sample_weight"):
        row_weights(y, targets, "balanced", None)


def test_a_class_without_weight_is_named():
    with pytest.raises(ValueError, match=r"sample_weight and class_weight .*\['a', 'c'\]"):
        row_weights(Y, THREE, {"a": 0}, [1, 1, 1, 1, 1, 0])


def test_a_class_without_weight_is_named_by_balanced_weights_too():
    with pytest.raises(ValueError, match=r"sample_weight and class_weight .*\['c'\]"):
        row_weights(Y, THREE, "balanced", [1, 1, 1, 1, 1, 0])
    with pytest.raises(ValueError, match=r"sample_weight and class_weight .*\['c'\]"):
        row_weights(Y[:5], THREE, "balanced", [1, 1, 1, 1, 1])


def test_the_given_weights_are_not_written_to():
    given = np.array([1.0, 2, 3, 1, 2, 3])
    row_weights(Y, THREE, "balanced", given)
    assert_array_equal(given, [1, 2, 3, 1, 2, 3])


@pytest.mark.parametrize(
    "given",
    [
        [1, 0, 2],
        (1.0, 0.0, 2.0),
        np.array([1, 0, 2], dtype=np.float16),
        torch.tensor([1.0, 0.0, 2.0], dtype=torch.bfloat16),
        np.array([1, 0, 2], dtype=object),
    ],
    ids=["list", "tuple", "float16", "bfloat16", "object"],
)
def test_weights_are_read_as_float64(given):
    found = checked_weights(given, 3)
    assert found.dtype == np.float64
    assert found.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ([1, -2, 1], "finite numbers of at least 0, but sample 1 has -2"),
        ([1, 1, np.nan], "finite numbers of at least 0, but sample 2 has nan"),
        ([np.inf, 1, 1], "finite numbers of at least 0, but sample 0 has inf"),
        ([1, 1], r"the shape \(3,\), one weight for each sample, but has \(2,\)"),
        ([[1], [1], [1]], r"the shape \(3,\).* but has \(3, 1\)"),
        (2.0, r"the shape \(3,\).* but has \(\)"),
        (["a", "b", "c"], "must hold numbers"),
        ([[1], [1, 2], 3], "must hold numbers"),
        ([0, 0, 0], "a weight of zero for all samples"),
    ],
    ids=["negative", "nan", "infinite", "short", "2-D", "number", "strings", "ragged", "zero"],
)
def test_weights_that_cannot_be(given, rule):
    with pytest.raises(ValueError, match=rf"^sample_weight .*{rule}"):
        checked_weights(given, 3)


# ------------------------------------------------------------------------------------ batches


def part(y, batch_size, weights, rows=None):
    """Samples that are their own number."""
    X = np.arange(float(len(y)))[:, None]
    rows = np.arange(len(y)) if rows is None else rows
    units = Standardize((1,), (1,))
    return RealData(X, y, rows, units, batch_size, torch.device("cpu"), weights)


def frequencies(real, n_batches=3000):
    """How often each y is drawn, as a share of all draws."""
    drawn = torch.cat([real.sample(torch.Generator().manual_seed(k))[1] for k in range(n_batches)])
    return np.bincount(drawn, minlength=int(real.y.max()) + 1) / len(drawn)


def test_a_weight_of_2_does_as_a_sample_that_is_there_twice():
    y, weights = np.arange(6), np.array([2, 1, 0, 3, 1, 1])
    weighted = part(y, 3, weights.astype(float))
    repeated = part(y.repeat(weights), 3, None)
    assert_allclose(frequencies(weighted), weights / weights.sum(), atol=0.02)
    assert_allclose(frequencies(weighted), frequencies(repeated), atol=0.02)


def test_a_weighted_batch_that_could_hold_all_is_drawn_by_weight_all_the_same():
    real = part(np.arange(4), 100, np.array([1.0, 1.0, 0.0, 2.0]))
    _, y = real.sample(torch.Generator().manual_seed(0))
    assert len(y) == 100
    assert_allclose(np.bincount(y), [25, 25, 0, 50], atol=1.99)


def test_weights_belong_to_the_rows_of_the_part():
    real = part(np.arange(6), 8, np.array([9.0, 1.0, 9.0, 0.0, 9.0, 3.0]), rows=np.array([1, 3, 5]))
    assert_array_equal(real.weights, [1, 0, 3])
    assert_allclose(frequencies(real), [0, 0.25, 0, 0, 0, 0.75], atol=0.02)
    assert torch.cat([*real.weights_in_order()]).tolist() == [1, 0, 3]


def test_weights_come_in_the_batches_of_the_samples():
    weights = np.arange(1.0, 11.0)
    real = part(np.arange(10), 4, weights)
    batches = zip(real.in_order(), real.weights_in_order(), strict=True)
    assert all((y + 1 == w).all() for (_, y), w in batches)
    assert {w.dtype for w in real.weights_in_order()} == {torch.float64}
    plain = part(np.arange(10), 4, None)
    assert torch.cat([*plain.weights_in_order()]).tolist() == [1.0] * 10
