"""Step sizes and the course of a fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd import (
    ConvergenceDisplay,
    LearningRatesDisplay,
)
from sklearn_dd._display.curves import _running_mean


def test_step_sizes_over_the_steps_with_epochs(digits):
    display = LearningRatesDisplay.from_estimator(digits, color="C3")
    assert_array_equal(display.line_.get_xdata(), np.arange(1, 7))
    assert_array_equal(display.line_.get_ydata(), digits.lrs_.ravel())
    assert display.line_.get_color() == "C3"
    boundaries = [line.get_xdata()[0] for line in display.ax_.lines[1:]]
    assert boundaries == [2.5, 4.5]
    drawn = LearningRatesDisplay.from_data(digits.transform())
    assert_array_equal(drawn.lrs, digits.lrs_)


def test_where_a_step_is_an_epoch_none_is_marked():
    assert len(LearningRatesDisplay.from_data(np.ones((5, 1))).ax_.lines) == 1


def test_convergence_shows_loss_and_validation(digits):
    display = ConvergenceDisplay.from_estimator(digits, smoothing=1)
    assert_allclose(display.line_.get_ydata(), digits.history_["loss"])
    (line,) = display.validation_ax_.lines
    assert_array_equal(line.get_xdata(), digits.history_["validation_iter"])
    assert_array_equal(line.get_ydata(), digits.history_["validation_score"])
    assert display.validation_ax_.figure is display.figure_


def test_convergence_without_validation():
    history = {"loss": [2.0, 1.0], "validation_iter": [], "validation_score": []}
    assert ConvergenceDisplay.from_data(history).validation_ax_ is None


def test_the_running_mean_leaves_out_what_is_not_finite():
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, 7.0])
    assert_allclose(_running_mean(values, 3), [1, 2, 3, 4, 6, 6])
    assert_allclose(_running_mean(values[:1], 50), [1])
    assert np.isnan(_running_mean(np.array([np.nan]), 1)).all()


def test_a_fit_without_an_iteration_converged_nowhere():
    display = ConvergenceDisplay.from_data({"loss": []})
    assert not len(display.line_.get_xdata())
    with pytest.raises(ValueError, match="smoothing == -1"):
        display.plot(smoothing=-1)


def test_step_sizes_have_two_axes():
    with pytest.raises(ValueError, match=r"lrs must have shape \(n_epochs, n_steps\), got \(3,\)"):
        LearningRatesDisplay.from_data([1, 2, 3])
