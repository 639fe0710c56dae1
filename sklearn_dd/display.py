"""Figures: the distilled samples, their step sizes, and how the fit went."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_scalar

from .data import Array, Standardize, as_tensor, student_shape
from .distilled import DistilledData, check_distiller
from .targets import Labels, Numbers

_GAP = 0.08  # between two pictures, in widths of one
_ONE_BAND = 20  # classes that still stand beside each other, whatever the number of rows


class _Display:
    """What every display shares: its way from an estimator, and the axes that it draws on."""

    ax_: Any
    figure_: Any
    from_data: Any  # what every display defines: data -> display, drawn
    _data_of: Any  # a fitted distiller -> the arguments of from_data

    @classmethod
    def from_estimator(cls, distiller: Any, **options: Any) -> Self:
        """Draw what a fitted distiller holds.

        Parameters
        ----------
        distiller : DatasetDistiller
            A fitted one; of a pipeline its last step, ``pipe[-1]``.
        **options : dict
            Further parameters of `from_data` and of `plot`, such as ``ax``.

        Returns
        -------
        Display
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the distiller is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_distiller(distiller, f"{cls.__name__}.from_estimator")
        return cls.from_data(**(cls._data_of(distiller) | options))

    def _open(self, ax: Any, width: float, height: float) -> Any:
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError(
                    f"{type(self).__name__} needs matplotlib: pip install sklearn-dd[plot]"
                ) from error
            ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class DistilledImagesDisplay(_Display):
    """The distilled samples: a grid of pictures, or a heat map where they are rows of a table.

    Pictures stand in a column for each class and a row for each step, or several where a mini-batch
    holds more than one sample of a class; many classes are broken into bands. Where samples have
    several labels, each set of labels has a column, and in a regression each number. All share
    robust colour limits, since learned pixels may leave the range of real ones. A table is shown in
    the standardised units of the fit; where they are not known, in those of its own columns.

    Parameters
    ----------
    samples : ndarray of shape (n, height, width), (n, height, width, 3) or (n, n_features)
        Grey pictures, coloured ones, or rows of a table; ordered by step.
    target : ndarray of shape (n,)
        Index of the class of each sample.
    display_labels : sequence of length n_classes
        Names of the classes, or sets of labels, to which ``target`` points.
    n_steps : int, default=1
        Mini-batches of equal size that the rows make up.
    feature_names : sequence of str or None, default=None
        Names of the columns of a table.
    standardized : bool, default=False
        Whether a table is in standardised units, so that its colours are centred at 0.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the samples.
    figure_ : matplotlib Figure
        Figure with the axes.
    images_ : list of matplotlib AxesImage
        The picture of each sample, in the order of the rows; the one heat map of a table.

    See Also
    --------
    LearningRatesDisplay : The step sizes that belong to the samples.
    ConvergenceDisplay : How the fit went.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import DatasetDistiller
    >>> from sklearn_dd.display import DistilledImagesDisplay
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> distiller = DatasetDistiller(2, n_steps=2, n_epochs=1, max_iter=5).fit(X, y)
    >>> display = DistilledImagesDisplay.from_estimator(distiller, sample_shape=(1, 8, 8))
    >>> len(display.images_)
    6
    """

    def __init__(
        self,
        samples: Array,
        target: Array,
        display_labels: Any,
        *,
        n_steps: int = 1,
        feature_names: Any = None,
        standardized: bool = False,
    ) -> None:
        self.samples = samples
        self.target = target
        self.display_labels = display_labels
        self.n_steps = n_steps
        self.feature_names = feature_names
        self.standardized = standardized

    @staticmethod
    def _data_of(distiller: Any) -> dict[str, Any]:
        triple = distiller.X_syn_, distiller.y_syn_, distiller.lrs_
        names = getattr(distiller, "feature_names_in_", None)
        return {"X": DistilledData(*triple, distiller.recipe_), "feature_names": names}

    @classmethod
    def from_data(
        cls,
        X: Any,
        y: Any = None,
        lrs: Any = None,
        *,
        n_steps: int = 1,
        sample_shape: tuple[int, ...] | None = None,
        display_labels: Any = None,
        feature_names: Any = None,
        **options: Any,
    ) -> DistilledImagesDisplay:
        """Draw distilled data.

        Parameters
        ----------
        X : DistilledData or array-like of shape (n, n_features) or (n, ...)
            Distilled data, and then `y`, `lrs` and `n_steps` are its own; or the samples, ordered
            by step.
        y : array-like of shape (n,) or (n, n_classes), default=None
            Class labels; of learned labels the largest number decides the column, and where a
            sample may have several labels, those above 0.5.
        lrs : array-like of shape (n_epochs, n_steps) or None, default=None
            Step sizes, which tell the number of steps.
        n_steps : int, default=1
            Mini-batches that the rows make up, where `lrs` is not given.
        sample_shape : tuple of int or None, default=None
            Shape of one sample, (channels, height, width) or (height, width), where X is flat. One
            channel is shown in grey, three as red, green and blue, other numbers by their mean.
        display_labels : sequence of length n_classes or None, default=None
            Names of the classes, in sorted order of the labels; ``None`` shows the labels.
        feature_names : sequence of str or None, default=None
            Names of the columns of a table; ``None`` takes those of a DataFrame.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        DistilledImagesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If samples, labels, steps, `sample_shape` and names don't fit each other.
        """
        recipe = X.recipe if isinstance(X, DistilledData) else None
        if isinstance(X, DistilledData):
            X, y, lrs = X
        if feature_names is None:
            feature_names = getattr(X, "columns", None)
        if feature_names is not None:
            feature_names = list(feature_names)
        X, y = np.asarray(X), np.asarray(y)
        n_steps = n_steps if lrs is None else _step_sizes(lrs).shape[1]
        if y.shape[:1] != X.shape[:1] or n_steps < 1 or len(X) % n_steps:
            raise ValueError(
                f"y must have a label for each of the {len(X)} samples of X, and they must make up "
                f"n_steps={n_steps} mini-batches of equal size, but y has shape {y.shape}. Pass X "
                "and y as transform returned them, and their lrs, or the DistilledData as it is."
            )
        classes = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
        targets = None if recipe is None else recipe.targets
        if isinstance(targets, Numbers):
            if display_labels is None:
                display_labels = [f"{number:.3g}" for number in classes]
        elif targets is not None:
            classes = targets.values
        target = np.searchsorted(classes, y) if y.ndim == 1 else y.argmax(axis=1)
        if display_labels is None:
            display_labels = classes
        if len(display_labels) != len(classes):
            raise ValueError(
                f"display_labels must name each of the {len(classes)} classes, but has "
                f"{len(display_labels)} names: {list(display_labels)}."
            )
        if isinstance(targets, Labels):  # a column for each set of labels
            without, target = np.unique(y <= 0.5, axis=0, return_inverse=True)
            names = np.asarray(display_labels, dtype=str)
            display_labels = [", ".join(names[~row]) or "none" for row in without]
        samples, standardized = _presentable(
            X, sample_shape, None if recipe is None else recipe.standardize
        )
        if samples.ndim == 2 and len(feature_names or ()) not in (0, samples.shape[1]):
            raise ValueError(
                f"feature_names must name each of the {samples.shape[1]} columns of X, but has "
                f"{len(feature_names)} names: {feature_names}."
            )
        return cls(
            samples,
            target,
            display_labels,
            n_steps=n_steps,
            feature_names=feature_names,
            standardized=standardized,
        ).plot(**options)

    def plot(
        self, ax: Any = None, *, cmap: Any = None, limits: tuple[float, float] | None = None
    ) -> DistilledImagesDisplay:
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; ``None`` makes a figure.
        cmap : str, Colormap or None, default=None
            Colours of grey pictures, ``"gray"``, or of a table, ``"RdBu_r"`` in standardised units
            and ``"viridis"`` otherwise.
        limits : tuple of float or None, default=None
            Values of the first and the last colour. ``None`` takes the 1st and the 99th percentile
            of all samples, and in standardised units the same distance to both sides of 0.

        Returns
        -------
        DistilledImagesDisplay
            The display itself.
        """
        low, high = limits or np.percentile(self.samples, [1, 99])
        if limits is None and self.standardized:
            high = np.percentile(np.abs(self.samples), 99)
            low = -high
        if self.samples.ndim == 2:
            default = "RdBu_r" if self.standardized else "viridis"
            self._table(ax, cmap=cmap or default, vmin=low, vmax=high)
        elif self.samples.ndim == 3:
            self._grid(ax, self.samples, cmap=cmap or "gray", vmin=low, vmax=high)
        else:
            self._grid(ax, np.clip((self.samples - low) / ((high - low) or 1), 0, 1))
        return self

    def _grid(self, ax: Any, pictures: Array, **colours: Any) -> None:
        n_classes = len(self.display_labels)
        names = [str(name) for name in self.display_labels]
        step = np.repeat(np.arange(self.n_steps), len(pictures) // self.n_steps)
        rank, seen = np.zeros(len(pictures), int), np.zeros((self.n_steps, n_classes), int)
        for i, where in enumerate(zip(step, self.target, strict=True)):
            rank[i] = seen[where]
            seen[where] += 1
        rows = seen.max(axis=1)  # of each step
        columns = n_classes
        if n_classes > _ONE_BAND:
            columns = min(max(10, math.ceil(math.sqrt(n_classes * rows.sum()))), _ONE_BAND)
        bands = -(-n_classes // columns)

        # Lengths are in widths of a picture from here on, with x to the right and y downwards.
        width, height = 1 + _GAP, pictures.shape[1] / pictures.shape[2] + _GAP
        if ax is None:
            across, down = min(max(0.45 * columns, 9), 0.75 * columns), 14.0
        else:
            across, down = ax.get_window_extent().size / ax.figure.dpi
        inches = max(0.25, min(across / (columns * width), down / (bands * rows.sum() * height)))
        title = 0.22 / inches
        apart = 2 * _GAP if rows.max() > 1 else 0.0
        top = title + (rows.cumsum() - rows) * height + np.arange(self.n_steps) * apart
        band = top[-1] + rows[-1] * height + apart
        left = 0.6 if self.n_steps > 1 else 0.1
        ax = self._open(ax, columns * width * inches + left, bands * band * inches + 0.1)

        self.images_ = []
        for picture, s, c, r in zip(pictures, step, self.target, rank, strict=True):
            x, y = c % columns * width, c // columns * band + top[s] + r * height
            extent = (x, x + 1, y + height - _GAP, y)
            self.images_.append(
                ax.imshow(picture, extent=extent, interpolation="nearest", **colours)
            )
        size = min(max(72 * inches / (0.6 * max(1, *map(len, names))), 5), 9)
        for c, name in enumerate(names):
            x, y = c % columns * width + 0.5, c // columns * band + title - _GAP
            ax.text(x, y, name, ha="center", va="bottom", fontsize=size)
        ax.set(xlim=(-_GAP, columns * width), ylim=(bands * band, 0), xticks=[], yticks=[])
        ax.set_aspect("equal", anchor="NW")  # centred, constrained layout cuts the labels off
        if self.n_steps > 1:
            middle = top + (rows * height - _GAP) / 2
            ticks = (np.arange(bands)[:, None] * band + middle).ravel()
            labels = [f"step {s + 1}" for s in range(self.n_steps)] * bands
            ax.set_yticks(ticks, labels, fontsize=min(9, 60 * inches * height))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)

    def _table(self, ax: Any, **colours: Any) -> None:
        n, n_features = self.samples.shape
        names = None if self.feature_names is None else [str(f) for f in self.feature_names]
        step = np.arange(n) * self.n_steps // n
        # One label for each run of rows of the same step and class.
        changes = np.diff(step * len(self.display_labels) + self.target) != 0
        starts = np.r_[0, np.flatnonzero(changes) + 1]
        labels = [str(self.display_labels[self.target[i]]) for i in starts]
        if self.n_steps > 1:
            labels = [
                f"step {step[i] + 1}:  {label}" if i == 0 or step[i] != step[i - 1] else label
                for i, label in zip(starts, labels, strict=True)
            ]
        height = min(max(0.25 * len(starts), 0.12 * n, 1.2), 12)
        below = 0.5 if names is None else 0.08 * max(map(len, names))
        ax = self._open(ax, min(max(0.32 * n_features, 4), 9) + 1.5, height + below + 0.1)
        self.images_ = [ax.imshow(self.samples, aspect="auto", interpolation="nearest", **colours)]
        size = min(max(60 * height / len(starts), 3), 9)
        ax.set_yticks((starts + np.r_[starts[1:], n] - 1) / 2, labels, fontsize=size)
        for i in np.flatnonzero(np.diff(step)):
            ax.axhline(i + 0.5, color="black", linewidth=1)
        if names is not None:
            ax.set_xticks(range(n_features), names, rotation=90, fontsize=8)
        else:
            ax.set_xlabel("feature")
            ax.xaxis.get_major_locator().set_params(integer=True)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        unit = "z-score" if self.standardized else "units of X"
        bar = self.figure_.colorbar(self.images_[0], ax=ax, label=unit, pad=0.02, aspect=8 * height)
        bar.outline.set_visible(False)


def _presentable(
    X: Array, sample_shape: tuple[int, ...] | None, standardize: Standardize | None
) -> tuple[Array, bool]:
    """Pictures in the units of X, or a table; and whether that is in standardised units."""
    if sample_shape is None and standardize is not None:
        sample_shape = standardize.sample_shape
    shape = student_shape(X.shape[1:], sample_shape)
    if len(shape) in (2, 3):
        x = Standardize(X.shape[1:], shape)(as_tensor(X)).reshape(len(X), -1, *shape[-2:])
        channels_last = x.movedim(1, -1).numpy()
        return channels_last if x.shape[1] == 3 else channels_last.mean(-1), False
    if standardize is None:
        return StandardScaler().fit_transform(X.reshape(len(X), -1)), True
    z = standardize(as_tensor(X)).flatten(1).numpy()
    return z, standardize.scale.ndim > 0  # a scalar where the fit took X as it is


def _step_sizes(lrs: Any) -> Array:
    lrs = np.asarray(lrs)
    if lrs.ndim != 2:
        raise ValueError(
            f"lrs must have shape (n_epochs, n_steps), got {lrs.shape}. Reshape it: a single epoch "
            "is lrs.reshape(1, -1)."
        )
    return lrs


class LearningRatesDisplay(_Display):
    """The step sizes that a student is to be trained with, over its gradient steps.

    Parameters
    ----------
    lrs : ndarray of shape (n_epochs, n_steps)
        Step sizes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the line.
    figure_ : matplotlib Figure
        Figure with the axes.
    line_ : matplotlib Line2D
        Step size over t = 1 … n_epochs · n_steps.

    See Also
    --------
    DistilledImagesDisplay : The samples that belong to the step sizes.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn_dd.display import LearningRatesDisplay
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
        """Draw given step sizes.

        Parameters
        ----------
        lrs : DistilledData or array-like of shape (n_epochs, n_steps)
            Step sizes, or the distilled data that they belong to.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        LearningRatesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `lrs` has not two axes.
        """
        return cls(_step_sizes(lrs.lrs if isinstance(lrs, DistilledData) else lrs)).plot(**options)

    def plot(self, ax: Any = None, **options: Any) -> LearningRatesDisplay:
        """Draw the step sizes.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; ``None`` makes a figure.
        **options : dict
            Options of the line, such as ``color``.

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


class ConvergenceDisplay(_Display):
    """The outer loss over the iterations of a fit, and the validation score.

    Parameters
    ----------
    history : dict
        ``"loss"`` of each outer iteration; ``"validation_iter"`` and ``"validation_score"`` where
        the fit held samples out.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the loss.
    validation_ax_ : matplotlib Axes or None
        Axes with the validation score, on the right; ``None`` without one.
    figure_ : matplotlib Figure
        Figure with the axes.
    line_ : matplotlib Line2D
        The smoothed loss.

    See Also
    --------
    DistilledImagesDisplay : What the fit ended with.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> from sklearn_dd.display import ConvergenceDisplay
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
        """Draw a given history.

        Parameters
        ----------
        history : dict
            As the distiller's ``history_``.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.
        """
        return cls(history).plot(**options)

    def plot(self, ax: Any = None, *, smoothing: int | None = None) -> ConvergenceDisplay:
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; ``None`` makes a figure.
        smoothing : int or None, default=None
            Iterations that the smoothed loss is a mean of; ``None`` takes a twentieth of them all.

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
    """Centred mean of ``width`` neighbours, fewer at the ends; what is not finite is left out."""
    if not len(values):
        return values
    finite = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    total = np.convolve(np.where(finite, values, 0), window, "same")
    count = np.convolve(finite, window, "same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
