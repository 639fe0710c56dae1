"""What is held out: the same share of each class, and never trained on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from torch.nn import functional as F

from sklearn_dd._data import classification_data, hold_out

from ..helpers import (
    tiny,
)


def test_the_held_out_part_is_trained_on_in_the_finish_alone(table):
    X, y = table
    sizes = []

    def note(logits, targets):
        if logits.requires_grad:  # else the iterate is validated
            sizes.append(len(targets))
        return F.cross_entropy(logits, targets)

    tiny(objective=note, validation_fraction=0.5, batch_size=10_000, max_iter=6).fit(X, y)
    searched = len(X) - sum(int(0.5 * (y == c).sum()) for c in range(3))
    assert sizes == len(sizes) // 2 * [searched] + len(sizes) // 2 * [len(X)]


def test_a_label_whose_samples_are_all_held_out():
    """Ten labels of ten samples each; an eleventh that one sample of each has too."""
    y = np.hstack([np.repeat(np.eye(10, dtype=int), 10, axis=0), np.zeros((100, 1), int)])
    y[::10, 10] = 1
    X = np.arange(100.0)[:, None] * [1, 2]
    with pytest.raises(ValueError, match=r"y has label 10 so rarely .* Lower validation_fraction"):
        tiny(validation_fraction=0.9, random_state=5).fit(X, y)


def test_the_rarest_label_of_a_sample_is_its_stratum():
    y = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    real = classification_data(tiny(), np.eye(4), y, 1, 1)
    assert_array_equal(real.strata, [2, 0, 1, -1])


@pytest.mark.parametrize("seed", range(3))
def test_rare_labels_are_held_out_in_proportion(seed):
    """Of two labels that ten samples have and one of the rest: five of each."""
    y = np.zeros((400, 3), int)
    y[:10, 0] = y[10:20, 1] = y[20:, 2] = 1
    real = classification_data(tiny(), np.arange(400.0)[:, None], y, 1, 1)
    rows, held_out = hold_out(real.strata, 0.5, seed)
    assert y[held_out].sum(axis=0).tolist() == [5, 5, 190]
    assert_array_equal(np.sort(np.r_[rows, held_out]), np.arange(400))


def test_no_more_are_held_out_than_a_score_needs():
    _, held_out = hold_out(np.zeros(100_000, int), 0.9, 0)
    assert len(held_out) == 2000


def test_other_seeds_hold_out_other_samples():
    one, again, other = (hold_out(np.zeros(100, int), 0.3, seed)[1] for seed in (0, 0, 1))
    assert_array_equal(one, again)
    assert not np.array_equal(one, other)
