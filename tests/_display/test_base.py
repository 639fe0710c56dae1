"""What every display does with a distiller and with axes."""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_dd import (
    ConvergenceDisplay,
    DatasetDistiller,
    DistilledImagesDisplay,
    LearningRatesDisplay,
)

DISPLAYS = [DistilledImagesDisplay, LearningRatesDisplay, ConvergenceDisplay]


@pytest.mark.parametrize("display", DISPLAYS)
def test_draws_on_given_axes(display, digits):
    figure, axes = plt.subplots(1, 2)
    shown = display.from_estimator(digits, ax=axes[1])
    assert shown.ax_ is axes[1]
    assert shown.figure_ is figure
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]
    again = shown.plot()  # without axes, on a figure of its own
    assert again is shown
    assert shown.figure_ is not figure


@pytest.mark.parametrize("display", DISPLAYS)
def test_refuses_a_distiller_that_is_not_fitted(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(DatasetDistiller())


@pytest.mark.parametrize("display", DISPLAYS)
def test_takes_the_distiller_out_of_a_pipeline(display, digits):
    with pytest.raises(TypeError, match=r"got Pipeline.*pipe\[-1\]"):
        display.from_estimator(make_pipeline(digits))


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib_it_says_what_to_install(display, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install sklearn-dd\[plot\]"):
        display.from_estimator(digits)
