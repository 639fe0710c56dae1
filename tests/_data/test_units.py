"""Units and layout: from X to what students see, and back."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from sklearn_dd._data import Standardize, student_shape

from ..helpers import (
    LAYOUTS,
    standardised,
    tiny,
    tiny_for_images,
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_come_back_in_the_layout_they_came_in(images, layout):
    lay_out, sample_shape = LAYOUTS[layout]
    X, y = lay_out(images[0]), images[1]
    distiller = (tiny if layout == "flat" else tiny_for_images)(n_per_class=2).fit(X, y)
    X_syn, y_syn, lrs = distiller.transform()
    assert X_syn.shape == (6, *X.shape[1:])
    assert X_syn.dtype == np.float32
    assert_array_equal(y_syn, [0, 0, 1, 1, 2, 2])
    assert lrs.shape == (3, 1)
    assert distiller.sample_shape_ == sample_shape
    assert distiller.n_features_in_ == X[0].size
    assert distiller.predict(X).shape == y.shape
    assert distiller.predict_proba(X).shape == (len(X), 3)


def test_the_layout_of_the_samples_changes_nothing_else(images):
    X, y = images
    grey = tiny_for_images().fit(X, y)
    flat = tiny_for_images(sample_shape=(1, 8, 8)).fit(X.reshape(len(X), -1), y)
    assert_array_equal(flat.transform().X.reshape(-1, 8, 8), grey.transform().X)
    assert_array_equal(flat.predict_proba(X.reshape(len(X), -1)), grey.predict_proba(X))

    (first, _), (last, _) = LAYOUTS["colours first"], LAYOUTS["colours last"]
    first, last = first(X), last(X)
    of_first, of_last = tiny_for_images().fit(first, y), tiny_for_images().fit(last, y)
    assert_allclose(of_last.transform().X.transpose(0, 3, 1, 2), of_first.transform().X, atol=1e-5)
    assert_allclose(of_last.predict_proba(last), of_first.predict_proba(first), atol=1e-5)


def test_sample_shape_overrides_the_guess(images):
    X, y = images
    # A stack of eight channels of 8 x 1 pixels, as the user may well mean it.
    distiller = tiny(sample_shape=(8, 8, 1)).fit(X[..., None], y)
    assert distiller.sample_shape_ == (8, 8, 1)
    assert_allclose(standardised(distiller, X[..., None].astype(float)).shape, (len(X), 8, 8, 1))


def test_two_channels_last_with_their_sample_shape(images):
    X, y = images
    two = np.stack([X, 2 * X], axis=-1)
    last = tiny_for_images(sample_shape=(2, 8, 8)).fit(two, y)
    first = tiny_for_images().fit(np.moveaxis(two, -1, 1), y)
    assert_array_equal(np.moveaxis(last.X_syn_, -1, 1), first.X_syn_)


def test_constant_features(table):
    X, y = table
    X = np.column_stack([X, np.full(len(X), 7.0)])
    distiller = tiny(data_init="real").fit(X, y)
    assert np.isfinite(distiller.transform().X).all()
    assert np.isfinite(distiller.predict_proba(X)).all()


def test_samples_are_in_the_units_of_X(table):
    X, y = table
    unit, offset = 1000.0, -50.0
    one, other = tiny().fit(X, y), tiny().fit(unit * X + offset, y)
    assert_allclose(other.transform().X, unit * one.transform().X + offset, rtol=1e-3)
    assert_allclose(other.predict_proba(unit * X + offset), one.predict_proba(X), atol=1e-3)
    z = (one.transform().X - X.mean(axis=0)) / X.std(axis=0)
    assert np.abs(z).max() < 6


def test_without_standardisation_students_see_X_as_it_is(table):
    X, y = table
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    distiller = tiny(standardize=False, n_per_class=2).fit(X, y)
    assert_allclose(standardised(distiller, X), X, rtol=1e-6)
    assert_array_equal(standardised(distiller, distiller.transform().X), distiller.transform().X)


@pytest.mark.parametrize("sample_shape", [(12,), (1, 13, 2), (), (-1, -13), (13, 0)], ids=str)
def test_sample_shape_that_does_not_fit(table, sample_shape):
    rule = re.escape(f"sample_shape={sample_shape}") + r".*Give the \(channels, height, width\)"
    with pytest.raises(ValueError, match=rule):
        tiny(sample_shape=sample_shape).fit(*table)


def test_sample_shape_of_other_images(images):
    with pytest.raises(
        ValueError, match=r"sample_shape=\(3, 8, 8\) has 192.*shape \(8, 8\), so 64"
    ):
        tiny_for_images(sample_shape=(3, 8, 8)).fit(*images)


@pytest.mark.parametrize("shape", [("a", 8, 8), (1.0, 8, 8), (-1, -8, 8)])
def test_a_sample_shape_of_other_than_positive_integers(images, shape):
    with pytest.raises(ValueError, match=r"sample_shape=.* must hold positive integers"):
        tiny(sample_shape=shape).fit(*images)


def test_a_feature_far_from_zero_for_its_spread_warns(table):
    X, y = table
    with pytest.warns(UserWarning, match=r"float32.*Subtract the mean"):
        tiny().fit(X + 1e8, y)


@pytest.mark.filterwarnings("error")
def test_a_constant_feature_far_from_zero_is_no_matter(table):
    X, y = table
    tiny().fit(np.where(np.arange(13) == 0, 20230101, X), y)


def test_images_of_another_size(images):
    X, y = images
    distiller = tiny_for_images().fit(X, y)
    with pytest.raises(ValueError, match="X has 56 features, but DatasetDistiller is expecting 64"):
        distiller.predict(X[:, :7])


def test_images_of_another_layout(images):
    X, y = images
    distiller = tiny_for_images().fit(np.stack([X] * 3, axis=-1), y)
    with pytest.raises(ValueError, match=r"\(3, 8, 8\).*\(8, 8, 3\)|\(8, 8, 3\).*\(3, 8, 8\)"):
        distiller.predict(np.stack([X] * 3, axis=1))


@pytest.mark.parametrize(
    ("given", "asked", "seen"),
    [
        ((13,), None, (13,)),
        ((8, 9), None, (1, 8, 9)),
        ((3, 8, 9), None, (3, 8, 9)),
        ((8, 9, 3), None, (3, 8, 9)),
        ((3, 8, 3), None, (3, 8, 3)),  # channels are first where both could be
        ((8, 9, 2), None, (8, 9, 2)),
        ((8, 9, 2), (2, 8, 9), (2, 8, 9)),
        ((72,), [np.int64(1), 8, 9], (1, 8, 9)),
    ],
)
def test_the_shape_that_a_student_sees(given, asked, seen):
    assert student_shape(given, asked) == seen


@pytest.mark.parametrize("layout", LAYOUTS)
def test_units_and_layout_can_be_undone(images, layout):
    lay_out, sample_shape = LAYOUTS[layout]
    X = lay_out(images[0]).astype(np.float32)
    units = Standardize.fit(X.reshape(len(X), -1), X.shape[1:], sample_shape)
    z = units(torch.tensor(X))
    assert z.shape == (len(X), *sample_shape)
    assert z.is_contiguous()
    assert_allclose(units.inverse(z), X, atol=1e-4)
    flat = units(torch.tensor(X.reshape(len(X), -1)))
    assert torch.equal(flat, z), "a flat sample is the same sample"


def test_a_table_is_standardised_as_scikit_learn_does_it(table):
    X = np.float32(table[0])
    units = Standardize.fit(X, (13,), (13,))
    assert_allclose(units(torch.tensor(X)), StandardScaler().fit_transform(X), atol=1e-4)


def test_channels_have_a_mean_and_a_scale_each(images):
    X = LAYOUTS["colours last"][0](images[0]).astype(np.float32)
    z = standardised(tiny_for_images().fit(X, images[1]), X)
    assert_allclose(z.mean((0, 2, 3)), np.zeros(3), atol=1e-4)
    assert_allclose(z.std((0, 2, 3)), np.ones(3), atol=1e-3)


def test_a_nearly_constant_feature_has_no_outliers():
    X = np.zeros((1000, 2), np.float32)
    X[0] = 1, 100
    z = Standardize.fit(X, (2,), (2,))(torch.tensor(X))
    assert_allclose(z.amax(0) - z.amin(0), [10, 10], rtol=1e-4)
