"""From the method that the user names to the phases of a fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from sklearn_dd import (
    Clipped,
    Ridge,
    Unrolled,
)
from sklearn_dd._distillers.phases import METHODS

from ..helpers import (
    Watched,
    tiny,
    tiny_for_images,
)


def test_the_named_method_is_the_exact_hypergradient(table):
    by_name = tiny().fit_transform(*table)
    by_object = tiny(method=Unrolled()).fit_transform(*table)
    assert_allclose(by_object.X, by_name.X, rtol=1e-4)


def test_methods_in_a_list_follow_one_another(table):
    first, second = Watched(), Watched()
    listed = tiny(method=[first, second], max_iter=6, validation_fraction=0).fit(*table)
    assert (len(first.seen), len(second.seen)) == (3, 3)
    assert listed.n_iter_ == 6
    # Each has a cosine of its own, and the second begins where the first ended.
    alone = tiny(method=Watched(), max_iter=3, validation_fraction=0).fit(*table)
    for mine, theirs in zip(first.seen, alone.method.seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    end, _, _ = alone.transform().as_tensors()
    assert_allclose(second.seen[0][0], end, atol=1e-5)
    assert not np.allclose(listed.X_syn_, alone.X_syn_)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_step_sizes_and_samples(table, method):
    X, y = table
    distiller = tiny(method=method, max_iter=10).fit(X, y)
    assert distiller.n_iter_ == 10
    assert len(np.unique(distiller.lrs_)) > 1
    start = tiny(method=method, max_iter=10, outer_lr=1e-12).fit(X, y)
    assert not np.allclose(distiller.X_syn_, start.X_syn_)


def test_a_method_that_is_an_object(table):
    windows = tiny(method=Unrolled(window=1)).fit(*table)
    assert not np.array_equal(windows.X_syn_, tiny().fit(*table).X_syn_)


def test_a_ridge_within_another_method_is_followed_by_unrolled_steps(table):
    fitted = tiny(method=Clipped(Ridge()), max_iter=10).fit(*table)
    assert len(np.unique(fitted.lrs_)) > 1


def test_features_need_a_linear_layer_at_the_end(table):

    class Squashed(nn.Sequential):
        def __init__(self, sample_shape, n_classes):
            super().__init__(nn.Linear(sample_shape[0], n_classes), nn.Tanh())

    with pytest.raises(ValueError, match=r"method='ridge'.*last linear layer.*'unrolled'"):
        tiny(method="ridge", student=Squashed).fit(*table)


def test_a_table_cannot_be_augmented(table):
    with pytest.raises(ValueError, match=r"augment='flip'.*images.*sample_shape"):
        tiny(augment="flip").fit(*table)


def test_augmentation_changes_what_is_learned(images):
    X, y = images
    assert not np.array_equal(
        tiny_for_images(augment="shift").fit(X, y).X_syn_, tiny_for_images().fit(X, y).X_syn_
    )


@pytest.mark.parametrize("method", [[], ["unrolled"], [Unrolled(), 3]], ids=str)
def test_a_list_of_what_are_no_methods(table, method):
    with pytest.raises(
        ValueError, match=r"method=.* must be a name, a method object or a list of methods"
    ):
        tiny(method=method).fit(*table)


@pytest.mark.parametrize("method", [Unrolled, Ridge, [Ridge]], ids=str)
def test_a_method_that_is_a_class(table, method):
    with pytest.raises(ValueError, match=r"method=.* must be a name, a method object"):
        tiny(method=method).fit(*table)
