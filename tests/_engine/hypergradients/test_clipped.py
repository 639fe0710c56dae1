"""A gradient that is cut to so many times its usual length."""

from __future__ import annotations

import math

import pytest
import torch

from sklearn_dd.engine.clipped import Clipped
from sklearn_dd.engine.hypergradient import Hypergradient, Unrolled

from .problems import mlp
from .test_outer_loop import Slow, random_run, same

TASK = mlp().task()
FOUND = Unrolled()(TASK)


class Scaled:
    """The gradients of one hypergradient, brought to lengths that are given."""

    def __init__(self, lengths):
        self.lengths = iter(lengths)

    def __call__(self, _):
        whole = length(FOUND)
        factor = next(self.lengths) / whole
        return Hypergradient(FOUND.loss, *(factor * g for g in FOUND[1:]))


def length(found):
    return math.sqrt(sum(float(g.square().sum()) for g in found[1:]))


def lengths(given, ratio=2.0):
    clipped = Clipped(Scaled(given), ratio)
    return [length(clipped(TASK)) for _ in given]


def test_a_usual_gradient_is_left_as_it_is():
    found = Clipped(Unrolled())(TASK)
    for ours, plain in zip(found, FOUND, strict=True):
        assert torch.equal(ours, plain)
    assert lengths([1, 1.5, 0.1, 1.2]) == pytest.approx([1, 1.5, 0.1, 1.2])


def test_a_long_one_is_cut_to_twice_the_running_mean_of_those_before():
    assert lengths([1, 1, 100]) == pytest.approx([1, 1, 2])
    usual = 0.9 * (0.9 * 1 + 0.1 * 1.5) + 0.1 * 0.5
    assert lengths([1, 1.5, 0.5, 100]) == pytest.approx([1, 1.5, 0.5, 2 * usual])
    assert lengths([1, 100], ratio=3.0) == pytest.approx([1, 3])


def test_its_direction_stays():
    clipped = Clipped(Scaled([1, 50]))
    clipped(TASK)
    cut = clipped(TASK)
    for ours, plain in zip(cut[1:], FOUND[1:], strict=True):
        torch.testing.assert_close(ours, plain * (2 / length(FOUND)))
    assert torch.equal(cut.loss, FOUND.loss)


def test_what_was_cut_counts_as_cut():
    """Gradients that stay long become usual, by a tenth of the way to twice the usual each time."""
    assert lengths([1, 100, 100, 100]) == pytest.approx([1, 2, 2 * 1.1, 2 * 1.1**2])


def test_samples_and_step_sizes_are_cut_apart():
    clipped = Clipped(lambda _: FOUND)
    clipped(TASK)
    clipped.estimator = lambda _: FOUND._replace(lrs=100 * FOUND.lrs)
    cut = clipped(TASK)
    torch.testing.assert_close(cut.lrs, 2 * FOUND.lrs)
    assert torch.equal(cut.x, FOUND.x)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_one_without_a_length_says_nothing(bad):
    assert lengths([bad, 1, 100])[1:] == pytest.approx([1, 2])
    if bad:
        assert not math.isfinite(lengths([1, bad])[1])
        assert lengths([1, bad, 100])[2] == pytest.approx(2)


def test_a_resumed_run_is_the_same():
    whole, resumed = (random_run(estimator=Clipped(Slow(), 0.5)) for _ in range(2))
    states = [whole.state_dict() for _ in whole]
    resumed.load_state_dict(states[2])
    list(resumed)
    assert "estimator.clipped/usual" in states[2]
    assert same(resumed.state_dict(), states[-1])


def test_a_ratio_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="ratio must be positive, got 0"):
        Clipped(Unrolled(), 0)
