"""Images in a grid, and rows of a table as a heat map."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import (
    load_wine,
    make_multilabel_classification,
)

from sklearn_dd import (
    MLP,
    DatasetDistiller,
    DistilledData,
    DistilledImagesDisplay,
)

from ..helpers import tiny, tiny_regressor


def image_at(display, column, row):
    """The image in one cell of a grid of one band, or None: found by where it is drawn."""
    lefts = sorted({image.get_extent()[0] for image in display.images_})
    tops = sorted({image.get_extent()[3] for image in display.images_})
    for image in display.images_:
        left, _, _, top = image.get_extent()
        if (lefts.index(left), tops.index(top)) == (column, row):
            return np.ma.getdata(image.get_array())
    return None


def test_a_cell_shows_the_row_of_its_class_and_step(digits):
    display = DistilledImagesDisplay.from_estimator(digits, sample_shape=(1, 8, 8))
    X, y = digits.X_syn_.reshape(2, 6, 8, 8), digits.y_syn_.reshape(2, 6)
    for step in range(2):
        for column, name in enumerate(["eins", "null", "zwei"]):
            for rank, x in enumerate(X[step][y[step] == name]):
                assert_allclose(image_at(display, column, 2 * step + rank), x, rtol=1e-6)
    # Names stand in order above their columns, steps beside their rows.
    texts = sorted(display.ax_.texts, key=lambda text: text.get_position()[0])
    assert [text.get_text() for text in texts] == ["eins", "null", "zwei"]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["step 1", "step 2"]
    assert len(display.ax_.get_xticks()) == 0
    display.figure_.canvas.draw()


def test_distilled_data_show_what_their_distiller_shows(digits):
    ours = DistilledImagesDisplay.from_estimator(digits, sample_shape=(8, 8))
    drawn = DistilledImagesDisplay.from_data(digits.transform(), sample_shape=(8, 8))
    bare = DistilledImagesDisplay.from_data(*digits.transform(), sample_shape=(8, 8))
    for other in (drawn, bare):
        assert_array_equal(other.samples, ours.samples)
        assert_array_equal(other.target, ours.target)
        assert other.n_steps == ours.n_steps == 2
        assert_array_equal(other.display_labels, digits.classes_)


@pytest.mark.parametrize("layout", ["channels first", "channels last", "flat"])
def test_three_channels_are_colours_in_any_layout(layout):
    rgb = np.random.default_rng(0).uniform(size=(4, 6, 5, 3))  # n, height, width, channel
    first = np.moveaxis(rgb, -1, 1)
    X = {"channels first": first, "channels last": rgb, "flat": first.reshape(4, -1)}[layout]
    shape = (3, 6, 5) if layout == "flat" else None
    display = DistilledImagesDisplay.from_data(
        X, [1, 0, 1, 0], n_steps=2, sample_shape=shape, limits=(0, 1)
    )
    assert_allclose(image_at(display, 0, 0), rgb[1], rtol=1e-6)
    assert_allclose(image_at(display, 1, 1), rgb[2], rtol=1e-6)
    left, right, bottom, top = display.images_[0].get_extent()
    assert_allclose((bottom - top) / (right - left), 6 / 5)


def test_a_distiller_of_images_that_came_channels_last():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(20, 8, 8, 3)).astype(np.float32), np.arange(20) % 2
    distiller = DatasetDistiller(student=MLP, n_epochs=1, max_iter=1, n_inits=1).fit(X, y)
    display = DistilledImagesDisplay.from_estimator(distiller, limits=(0, 1))
    assert_allclose(image_at(display, 1, 0), distiller.X_syn_[1].clip(0, 1), atol=1e-6)


def test_other_numbers_of_channels_are_shown_by_their_mean():
    X = np.random.default_rng(0).normal(size=(2, 5, 6, 6))
    display = DistilledImagesDisplay.from_data(X, [0, 1])
    assert_allclose(image_at(display, 0, 0), X[0].mean(axis=0), rtol=1e-5)
    assert display.images_[0].get_cmap().name == "gray"


def test_soft_labels_stand_in_the_column_of_the_largest():
    X = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    y = np.array([[0.1, 0.9, 0.0], [0.5, 0.3, 0.2], [0.4, 0.6, 0.0]])
    display = DistilledImagesDisplay.from_data(X, y, display_labels=["a", "b", "c"])
    assert_array_equal(display.target, [1, 0, 1])
    assert_array_equal(image_at(display, 1, 1), X[2])
    assert image_at(display, 0, 1) is None  # a blank cell
    assert len(display.ax_.texts) == 3  # a class that no sample is of keeps its column


def test_unequal_counts_leave_cells_blank():
    X = np.arange(6.0)[:, None, None] * np.ones((6, 2, 2))
    display = DistilledImagesDisplay.from_data(X, [0, 0, 1, 0, 0, 1], n_steps=2)
    shown = [[image_at(display, c, row) for c in range(2)] for row in range(4)]
    assert [[None if p is None else p[0, 0] for p in row] for row in shown] == [
        [0, 2], [1, None], [3, 5], [4, None],
    ]  # fmt: skip


def test_images_share_robust_limits():
    X = np.random.default_rng(0).uniform(size=(2, 20, 20))
    X[0, 0, 0] = 1e6
    display = DistilledImagesDisplay.from_data(X, [0, 1])
    limits = {image.get_clim() for image in display.images_}
    assert len(limits) == 1
    assert max(limits)[1] <= 1
    wanted = DistilledImagesDisplay.from_data(X, [0, 1], limits=(-1, 3))
    assert wanted.images_[0].get_clim() == (-1, 3)
    # Constant colours divide by no zero.
    DistilledImagesDisplay.from_data(np.ones((2, 3, 4, 4)), [0, 1])


@pytest.mark.parametrize(("n_classes", "in_a_band"), [(20, 20), (21, 10), (100, 10)])
def test_many_classes_are_broken_into_bands(n_classes, in_a_band):
    display = DistilledImagesDisplay.from_data(np.zeros((n_classes, 4, 4)), np.arange(n_classes))
    extents = {tuple(image.get_extent()) for image in display.images_}
    assert len(extents) == n_classes
    assert len({extent[0] for extent in extents}) == in_a_band
    assert len({extent[3] for extent in extents}) == -(-n_classes // in_a_band)
    assert max(display.figure_.get_size_inches()) < 16


def test_a_table_is_a_heat_map_in_standardised_units(wine):
    display = DistilledImagesDisplay.from_estimator(wine, display_labels=["a", "b", "c"])
    (image,) = display.images_
    X, _ = load_wine(return_X_y=True)
    # The scale is the training part's, which is nearly all of the data.
    assert_allclose(image.get_array(), (wine.X_syn_ - X.mean(0)) / X.std(0), atol=0.5)
    low, high = image.get_clim()
    assert low == -high
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(wine.feature_names_in_)
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["step 1:  a", "b", "c", "step 2:  a", "b", "c"]
    assert_array_equal(display.ax_.get_yticks(), [0.5, 2, 3, 4.5, 6, 7])  # amid the rows of a class


def test_a_table_without_known_units_is_scaled_by_its_columns(wine):
    display = DistilledImagesDisplay.from_data(*wine.set_output(transform="pandas").transform())
    wine.set_output(transform="default")
    (image,) = display.images_
    assert_allclose(image.get_array().mean(axis=0), 0, atol=1e-6)
    assert_allclose(image.get_array().std(axis=0), 1, rtol=1e-6)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(wine.feature_names_in_)


def test_a_table_that_was_not_standardised_keeps_the_units_of_X():
    X, y = load_wine(return_X_y=True)
    distiller = DatasetDistiller(max_iter=1, standardize=False, random_state=0).fit(X / 100, y)
    display = DistilledImagesDisplay.from_estimator(distiller)
    assert_allclose(display.images_[0].get_array(), distiller.X_syn_)
    assert display.images_[0].get_cmap().name == "viridis"


def test_columns_of_an_array_can_be_named(wine):
    names = [f"f{i}" for i in range(13)]
    display = DistilledImagesDisplay.from_estimator(wine, feature_names=names)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == names
    with pytest.raises(ValueError, match="feature_names must name each of the 13 columns"):
        DistilledImagesDisplay.from_estimator(wine, feature_names=names[:1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, "y must have a label for each of the 4 samples"),
        ({"y": None}, "y must have a label"),
        ({"n_steps": 3}, "n_steps=3 mini-batches"),
        ({"n_steps": 0}, "n_steps=0 mini-batches"),
        ({"lrs": np.ones(2)}, "lrs must have shape"),
        ({"sample_shape": (1, 3, 3)}, "sample_shape"),
        ({"display_labels": ["one"]}, "display_labels must name each of the 2 classes"),
    ],
)
def test_refuses_what_does_not_fit_together(arguments, message):
    arguments = {"X": np.zeros((4, 4)), "y": [0, 1, 0, 1]} | arguments
    with pytest.raises(ValueError, match=message):
        DistilledImagesDisplay.from_data(**arguments)


def test_data_without_a_recipe_are_enough():
    data = DistilledData(np.eye(4).reshape(4, 2, 2), np.array([0, 1, 0, 1]), np.ones((3, 2)))
    display = DistilledImagesDisplay.from_data(data)
    assert display.n_steps == 2
    assert_array_equal(image_at(display, 1, 1), data.X[3])


def test_images_of_a_regression_show_their_numbers():
    X = np.random.default_rng(0).normal(size=(30, 4, 4))
    distiller = tiny_regressor(n_samples=3).fit(X, X[:, 0, 0])
    display = DistilledImagesDisplay.from_estimator(distiller)
    assert [float(label) for label in display.display_labels] == pytest.approx(
        sorted(distiller.y_syn_), abs=1e-2
    )


def test_an_image_is_named_by_all_its_labels():
    X, y = make_multilabel_classification(100, n_features=12, n_classes=4, random_state=0)
    names = ["sea", "sky", "sun", "tree"]
    distiller = tiny(labels="soft").fit(X, y)
    distiller.y_syn_ = np.array([[0.9, 0, 0, 0.8], [0.1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])
    display = DistilledImagesDisplay.from_estimator(distiller, display_labels=names)
    shown = [display.display_labels[of] for of in display.target]
    assert shown == ["sea, tree", "none", "sun", "sea, tree"]
