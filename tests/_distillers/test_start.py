"""Where samples, labels and step sizes start."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ..helpers import (
    FROZEN,
    LAYOUTS,
    standardised,
    tiny,
    tiny_for_images,
)

DATA_INITS = ["noise", "real", "kmeans", "mean", "herding", "kcenters", "medoids"]


@pytest.mark.parametrize("data_init", DATA_INITS)
def test_fewer_real_samples_than_asked_for(data_init):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 0, 0, 1, 1])
    X_syn, y_syn, _ = tiny(n_per_class=6, n_steps=2, data_init=data_init).fit_transform(X, y)
    assert_array_equal(y_syn, [0, 0, 0, 1, 1, 1] * 2)
    assert np.isfinite(X_syn).all()
    assert len(np.unique(X_syn, axis=0)) == 12, "no two synthetic samples start alike"


def test_real_samples_are_the_start(table):
    X, y = table
    X_syn, y_syn, _ = tiny(data_init="real", n_per_class=4, n_steps=2, **FROZEN).fit_transform(X, y)
    nearest = [np.abs(X - x).sum(axis=1).argmin() for x in X_syn]
    assert len(set(nearest)) == 12, "each real sample is taken once"
    assert_allclose(X_syn, X[nearest], rtol=1e-3, atol=1e-3)
    assert_array_equal(y[nearest], y_syn)


@pytest.mark.parametrize("data_init", ["real", "mean", "kmeans", "herding", "kcenters", "medoids"])
def test_repeated_rows_do_not_start_at_one_point(table, data_init):
    """Samples that are equal, labels too, would stay so, for they have equal gradients."""
    X, y = table
    X = np.repeat(X[::30], 30, axis=0)[: len(y)]  # two distinct rows a class, or three
    X_syn, y_syn, _ = tiny(data_init=data_init, n_per_class=4, **FROZEN).fit_transform(X, y)
    assert len(np.unique(np.column_stack([X_syn, y_syn]), axis=0)) == 12


def test_real_samples_that_come_more_than_once_start_once_as_they_are():
    rng = np.random.default_rng(0)
    X = rng.integers(2, size=(100, 6)).astype(float)
    y = np.arange(100) % 2
    X_syn, y_syn, _ = tiny(data_init="real", n_per_class=10, **FROZEN).fit_transform(X, y)
    for c in (0, 1):
        assert len(np.unique(X_syn[y_syn == c].round(5), axis=0)) == 10
    assert_allclose(X_syn, X_syn.round(), atol=1e-5)


@pytest.mark.parametrize("data_init", ["mean", "kmeans"])
def test_one_sample_starts_at_the_mean_of_its_class(table, data_init):
    X, y = table
    X_syn = tiny(data_init=data_init, **FROZEN).fit_transform(X, y).X
    assert_allclose(X_syn, [X[y == c].mean(axis=0) for c in range(3)], rtol=1e-3)


def test_kmeans_starts_at_the_clusters_of_each_class():
    corners = np.array([[-9.0, 0.0], [9.0, 0.0], [0.0, -9.0], [0.0, 9.0]])
    X = np.repeat(corners, 20, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(80, 2))
    y = np.repeat([0, 1], 40)
    X_syn = tiny(data_init="kmeans", n_per_class=2, **FROZEN).fit_transform(X, y).X
    for c in range(2):
        found = X_syn[2 * c : 2 * c + 2]
        expected = corners[2 * c : 2 * c + 2]
        assert_allclose(found[found.sum(axis=1).argsort()], expected, atol=0.2)


def test_noise_is_of_the_size_of_the_data(table):
    X, y = table
    distiller = tiny(data_init="noise", n_per_class=50, **FROZEN).fit(X, y)
    z = standardised(distiller, distiller.transform().X)
    assert abs(float(z.mean())) < 0.1
    assert abs(float(z.std()) - 1) < 0.1


@pytest.mark.parametrize("layout", ["flat", "grey", "colours last"])
def test_an_array_is_the_start(images, layout):
    lay_out, _ = LAYOUTS[layout]
    X, y = lay_out(images[0]), images[1]
    start = np.concatenate([X[y == c][:2] for c in (0, 1, 2)])[[0, 2, 4, 1, 3, 5]]
    before = start.copy()
    make = tiny if layout == "flat" else tiny_for_images
    distiller = make(data_init=start, n_per_class=2, n_steps=2, **FROZEN).fit(X, y)
    assert_allclose(distiller.transform().X, start, atol=1e-3)
    assert_array_equal(distiller.transform().y, [0, 1, 2, 0, 1, 2])
    assert_array_equal(start, before)


def test_step_sizes_start_at_distill_lr_and_are_learned(table):
    start = tiny(distill_lr=0.3, n_epochs=2, **FROZEN).fit_transform(*table).lrs
    assert_allclose(start, np.full((2, 1), 0.3), rtol=1e-5)
    learned = tiny(distill_lr=0.3, n_epochs=2, max_iter=10).fit_transform(*table).lrs
    assert np.abs(learned - 0.3).min() > 1e-4


@pytest.mark.parametrize("rows", [(2, 13), (3, 12), (3, 13, 1), (0, 13)], ids=str)
def test_data_init_of_another_shape(table, rows):
    rule = r"data_init must be finite and of shape \(3, 13\).*has shape " + re.escape(str(rows))
    with pytest.raises(ValueError, match=rule):
        tiny(data_init=np.zeros(rows)).fit(*table)


def test_data_init_that_is_not_finite(table):
    with pytest.raises(ValueError, match="data_init must be finite"):
        tiny(data_init=np.full((3, 13), np.nan)).fit(*table)
