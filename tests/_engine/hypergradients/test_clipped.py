"""Hypergradients that are clipped to a multiple of their running norm."""

from __future__ import annotations

import math

import pytest
import torch

from sklearn_dd._engine import Clipped, Hypergradient, OuterProblem, Unrolled

from ..loops import RunningMean, random_loop, same
from ..problems import assert_equal, mlp


@pytest.fixture
def outer() -> OuterProblem:
    return mlp().outer()


@pytest.fixture
def plain(outer) -> Hypergradient:
    return Unrolled()(outer)


def scaled(plain, norms):
    """A method that returns one hypergradient, scaled to the norms that are given."""
    factors = iter([norm / total_norm(plain) for norm in norms])

    def method(_):
        factor = next(factors)
        return Hypergradient(plain.loss, *(factor * part for part in plain[1:]))

    return method


def total_norm(found):
    return math.sqrt(sum(float(part.square().sum()) for part in found[1:]))


@pytest.fixture
def clipped_norms(outer, plain):
    """The norms, as they are after clipping, of hypergradients of norms that are given."""

    def clip(norms, ratio=2.0):
        clipped = Clipped(scaled(plain, norms), ratio)
        return [total_norm(clipped(outer)) for _ in norms]

    return clip


def test_a_usual_gradient_is_left_as_it_is(outer, plain, clipped_norms):
    assert_equal(Clipped(Unrolled())(outer), plain)
    assert clipped_norms([1, 1.5, 0.1, 1.2]) == pytest.approx([1, 1.5, 0.1, 1.2])


def test_a_long_one_is_clipped_to_twice_the_running_mean_of_those_before(clipped_norms):
    assert clipped_norms([1, 1, 100]) == pytest.approx([1, 1, 2])
    running = 0.9 * (0.9 * 1 + 0.1 * 1.5) + 0.1 * 0.5
    assert clipped_norms([1, 1.5, 0.5, 100]) == pytest.approx([1, 1.5, 0.5, 2 * running])
    assert clipped_norms([1, 100], ratio=3.0) == pytest.approx([1, 3])


def test_its_direction_and_its_loss_stay(outer, plain):
    method = Clipped(scaled(plain, [1, 50]))
    method(outer)
    clipped = method(outer)
    for part, before in zip(clipped[1:], plain[1:], strict=True):
        torch.testing.assert_close(part, before * (2 / total_norm(plain)))
    assert torch.equal(clipped.loss, plain.loss)


def test_what_was_clipped_counts_as_clipped(clipped_norms):
    """Gradients that stay long become usual, by a tenth of the way to twice the usual each time."""
    assert clipped_norms([1, 100, 100, 100]) == pytest.approx([1, 2, 2 * 1.1, 2 * 1.1**2])


def test_samples_labels_and_step_sizes_are_clipped_apart(outer, plain):
    found = iter([plain, plain._replace(lrs=100 * plain.lrs)])
    method = Clipped(lambda _: next(found))
    method(outer)
    clipped = method(outer)
    torch.testing.assert_close(clipped.lrs, 2 * plain.lrs)
    assert torch.equal(clipped.x, plain.x)
    assert torch.equal(clipped.y, plain.y)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_one_without_a_norm_says_nothing(clipped_norms, bad):
    assert clipped_norms([bad, 1, 100])[1:] == pytest.approx([1, 2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_that_is_not_finite_stays_so_and_says_nothing_later(clipped_norms, bad):
    assert not math.isfinite(clipped_norms([1, bad])[1])
    assert clipped_norms([1, bad, 100])[2] == pytest.approx(2)


def test_a_resumed_run_is_the_same_to_the_bit():
    whole, resumed = (random_loop(method=Clipped(RunningMean(), 0.5)) for _ in range(2))
    states = [whole.state_dict() for _ in whole]
    resumed.load_state_dict(states[2])
    list(resumed)
    assert {"estimator.clipped/usual", "estimator.mean"} <= states[2].keys()
    assert same(resumed.state_dict(), states[-1])


@pytest.mark.parametrize("ratio", [0, -1.0, math.nan])
def test_a_ratio_that_is_not_positive_is_refused(ratio):
    with pytest.raises(ValueError, match=f"ratio must be positive, got {ratio}"):
        Clipped(Unrolled(), ratio)
