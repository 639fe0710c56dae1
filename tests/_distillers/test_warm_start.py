"""A warm start continues from the last fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ..helpers import (
    FROZEN,
    assert_same_weights,
    named,
    tiny,
    tiny_for_images,
)


@pytest.mark.parametrize("labels", ["hard", "soft", "free"])
@pytest.mark.parametrize("container", ["default", "pandas"])
def test_warm_start_continues_from_the_last_fit(table, labels, container):
    X, y = table
    distiller = tiny(warm_start=True, labels=labels, n_per_class=2, n_steps=2, outer_lr=0.3)
    first = distiller.set_output(transform=container).fit_transform(X, y)
    again = distiller.set_params(**FROZEN).fit_transform(X, y)
    for a, b in zip(again, first, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    afresh = distiller.set_params(warm_start=False).fit_transform(X, y)
    assert not np.allclose(afresh.X, first.X, rtol=1e-3)


def test_warm_start_continues_with_images(images):
    distiller = tiny_for_images(warm_start=True, outer_lr=0.3)
    first = distiller.fit_transform(*images)
    again = distiller.set_params(**FROZEN).fit_transform(*images)
    assert_allclose(again.X, first.X, atol=1e-3)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_warm_start_refuses_other_numbers_of_the_classes(labels, table):
    X, y = table
    distiller = tiny(warm_start=True, labels=labels, n_per_class={0: 1, 1: 2, 2: 1}).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True continues.*n_per_class"):
        distiller.set_params(n_per_class={0: 2, 1: 1, 2: 1}).fit(X, y)
    distiller = tiny(warm_start=True, labels=labels, n_per_class=2).fit(X, y)
    distiller.set_params(n_per_class={0: 2, 1: 2, 2: 2}).fit(X, y)


@pytest.mark.parametrize(
    "changes",
    [{"n_per_class": 4}, {"n_steps": 1}, {"n_epochs": 4}, {"labels": "soft"}, {"labels": "free"}],
    ids=named,
)
def test_warm_start_refuses_another_size(table, changes):
    X, y = table
    distiller = tiny(warm_start=True, n_per_class=2, n_steps=2).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True continues.*Set warm_start=False"):
        distiller.set_params(**changes).fit(X, y)


@pytest.mark.parametrize(("before", "now"), [("soft", "free"), ("free", "soft")])
def test_warm_start_refuses_labels_learned_otherwise(table, before, now):
    distiller = tiny(warm_start=True, labels=before).fit(*table)
    with pytest.raises(ValueError, match=f"must stay .*'{before}'.* but this fit has .*'{now}'"):
        distiller.set_params(labels=now).fit(*table)


def test_warm_start_refuses_other_classes(table):
    X, y = table
    distiller = tiny(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True continues"):
        distiller.fit(X, y + 1)


def test_warm_start_refuses_another_kind_of_sample(table, images):
    distiller = tiny(warm_start=True).fit(images[0].reshape(120, -1), images[1])
    with pytest.raises(ValueError, match="warm_start=True continues"):
        distiller.fit(table[0], table[1])


@pytest.mark.parametrize("random_state", [1, None])
def test_warm_start_keeps_the_seed_and_the_known_net(table, random_state):
    distiller = tiny(warm_start=True, init="fixed", random_state=random_state).fit(*table)
    seed, weights = distiller.seed_, distiller.recipe_.weights
    for then in (random_state, 2):
        distiller.set_params(random_state=then).fit(*table)
        assert distiller.seed_ == seed
        assert_same_weights(distiller.recipe_.weights, weights, atol=0)
