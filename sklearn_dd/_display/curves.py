"""Displays of the step sizes and of the convergence of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from .._data import Array
from .._distilled import DistilledData
from .base import Display, step_sizes


class LearningRatesDisplay(Display):
    """The learned step sizes, plotted over the gradient steps of a student.

    Parameters
    ----------
    lrs : ndarray of shape (n_epochs, n_steps)
        Step sizes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the line.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    line_ : matplotlib Line2D
        Step size over t = 1 … n_epochs · n_steps.

    See Also
    --------
    DistilledImagesDisplay : Shows the samples that belong to the step sizes.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn_dd import LearningRatesDisplay
    >>> display = LearningRatesDisplay.from_data([[0.3, 0.2], [0.2, 0.1]])
    >>> display.line_.get_xdata()
    array([1, 2, 3, 4])
    """

    def __init__(self, lrs: Array) -> None:
        self.lrs = lrs

    @staticmethod
    def _data_of(distiller: Any) -> dict[str, Any]:
        return {"lrs": distiller.lrs_}

    @classmethod
    def from_data(cls, lrs: Any, **options: Any) -> LearningRatesDisplay:
        """Draw step sizes that are passed directly.

        Parameters
        ----------
        lrs : DistilledData or array-like of shape (n_epochs, n_steps)
            Step sizes, or the distilled data that they belong to.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        LearningRatesDisplay
            The display after drawing.

        Raises
        ------
        ValueError
            If `lrs` does not have two axes, or is empty.
        """
        lrs = step_sizes(lrs.lrs if isinstance(lrs, DistilledData) else lrs)
        if not lrs.size:
            raise ValueError("lrs is empty: no student of these data takes gradient steps.")
        return cls(lrs).plot(**options)

    def plot(self, ax: Any = None, **options: Any) -> LearningRatesDisplay:
        """Draw the step sizes.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on. ``None`` makes a new figure.
        **options : dict
            Properties of the line, such as ``color``.

        Returns
        -------
        LearningRatesDisplay
            The display itself.
        """
        ax = self._open(ax, 5, 3)
        n_epochs, n_steps = self.lrs.shape
        style = {"marker": "o" if self.lrs.size <= 60 else "", "markersize": 3.5} | options
        (self.line_,) = ax.plot(np.arange(1, self.lrs.size + 1), self.lrs.ravel(), **style)
        ax.set(xlabel="gradient step t", ylabel="step size η", xlim=(0.5, self.lrs.size + 0.5))
        ax.set_ylim(0, 1.1 * self.lrs.max())
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
        if n_epochs > 1 and n_steps > 1:
            shown = np.arange(0, n_epochs, -(-n_epochs // 12))
            for epoch in shown[1:]:
                ax.axvline(epoch * n_steps + 0.5, color="0.8", linewidth=0.8, zorder=0)
            epochs = ax.secondary_xaxis("top")
            epochs.set_xticks((shown + 0.5) * n_steps + 0.5, shown + 1)
            epochs.set_xlabel("epoch")
            epochs.tick_params(length=0)
            epochs.spines[:].set_visible(False)
        return self


class ConvergenceDisplay(Display):
    """The outer loss and the validation score, plotted over the outer iterations of a fit.

    Parameters
    ----------
    history : dict
        ``"loss"`` of each outer iteration. If the fit held out samples, also ``"validation_iter"``
        and ``"validation_score"``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the loss.
    validation_ax_ : matplotlib Axes or None
        Axes with the validation score, on the right; ``None`` if there is no score.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    line_ : matplotlib Line2D
        The smoothed loss.

    See Also
    --------
    DistilledImagesDisplay : Shows the samples that the fit returned.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import ConvergenceDisplay, DatasetDistiller
    >>> distiller = DatasetDistiller(max_iter=5).fit(*load_wine(return_X_y=True))
    >>> display = ConvergenceDisplay.from_estimator(distiller)
    >>> display.ax_.get_xlabel()
    'outer iteration'
    """

    def __init__(self, history: Mapping[str, Any]) -> None:
        self.history = history

    @staticmethod
    def _data_of(distiller: Any) -> dict[str, Any]:
        return {"history": distiller.history_}

    @classmethod
    def from_data(cls, history: Mapping[str, Any], **options: Any) -> ConvergenceDisplay:
        """Draw a history that is passed directly.

        Parameters
        ----------
        history : dict
            Losses and scores, as in ``history_`` of a distiller.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        ConvergenceDisplay
            The display after drawing.
        """
        return cls(history).plot(**options)

    def plot(self, ax: Any = None, *, smoothing: int | None = None) -> ConvergenceDisplay:
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on. ``None`` makes a new figure.
        smoothing : int or None, default=None
            Number of iterations in the running mean of the loss. ``None`` takes a twentieth of all
            iterations.

        Returns
        -------
        ConvergenceDisplay
            The display itself.
        """
        if smoothing is not None:
            check_scalar(smoothing, "smoothing", Integral, min_val=1)
        ax = self._open(ax, 5, 3)
        loss = np.asarray(self.history["loss"], float)
        iteration = np.arange(1, len(loss) + 1)
        smooth = _running_mean(loss, smoothing or -(-len(loss) // 20))
        ax.plot(iteration, loss, color="C0", alpha=0.25, linewidth=0.8)
        (self.line_,) = ax.plot(iteration, smooth, color="C0")
        ax.set_xlabel("outer iteration")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_ylabel("outer loss", color="C0")
        ax.spines["top"].set_visible(False)
        scores = self.history.get("validation_score", ())
        self.validation_ax_ = None
        if len(scores):
            self.validation_ax_ = twin = ax.twinx()
            twin.plot(self.history["validation_iter"], scores, "o-", color="C1", markersize=3)
            twin.set_ylabel("validation score", color="C1")
            twin.spines["top"].set_visible(False)
        else:
            ax.spines["right"].set_visible(False)
        return self


def _running_mean(values: Array, width: int) -> Array:
    """Centred running mean of ``width`` values, fewer at the ends, without non-finite ones."""
    if not len(values):
        return values
    finite = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    total = np.convolve(np.where(finite, values, 0), window, "same")
    count = np.convolve(finite, window, "same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
