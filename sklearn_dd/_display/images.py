"""A display of the distilled samples: images in a grid, or rows of a table as a heat map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from .._data import Array, Continuous, Multilabel, Standardize, Targets, as_tensor, student_shape
from .._distilled import DistilledData
from .base import Display, step_sizes

_GAP = 0.08  # between two images, as a fraction of their width
_ONE_BAND = 20  # up to this number, all classes are shown side by side


class DistilledImagesDisplay(Display):
    """The distilled samples: images in a grid, or rows of a table as a heat map.

    The grid has a column for each class and a row for each step. A step has several rows if its
    mini-batch holds more than one sample of a class. Many classes are broken into bands. For
    multilabel targets, each set of labels has a column; for regression targets, each value has one.

    All images share robust colour limits, because learned pixels can leave the range of real ones.
    A table is shown in the standardised units of the fit. If these are not known, its columns are
    standardised by their own mean and standard deviation.

    Parameters
    ----------
    samples : ndarray of shape (n, height, width), (n, height, width, 3) or (n, n_features)
        Grey images, colour images, or rows of a table, ordered by step.
    target : ndarray of shape (n,)
        Index of the class of each sample.
    display_labels : sequence of length n_classes
        Names of the classes, or of the sets of labels, that ``target`` refers to.
    n_steps : int, default=1
        Number of mini-batches that the samples are divided into.
    feature_names : sequence of str or None, default=None
        Names of the columns of a table.
    standardized : bool, default=False
        Whether a table is in standardised units. Its colours are then centred at 0.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the samples.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    images_ : list of matplotlib AxesImage
        The image of each sample, in the order of the rows. For a table, its heat map alone.

    See Also
    --------
    LearningRatesDisplay : Shows the step sizes that belong to the samples.
    ConvergenceDisplay : Shows the loss and the score of the fit.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import DatasetDistiller, DistilledImagesDisplay
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
            Distilled data, or samples ordered by step. Distilled data bring their own `y` and
            `lrs`.
        y : array-like of shape (n,) or (n, n_classes), default=None
            Class labels or learned labels. A sample with learned labels is shown in the column of
            its largest value. For multilabel targets, its labels are those above 0.5.
        lrs : array-like of shape (n_epochs, n_steps) or None, default=None
            Step sizes, from whose shape the number of steps is taken.
        n_steps : int, default=1
            Number of mini-batches that the samples are divided into, if there is no `lrs`.
        sample_shape : tuple of int or None, default=None
            Shape of one sample, (channels, height, width) or (height, width), if X is flat. One
            channel is shown in grey, three channels as red, green and blue, and any other number by
            its mean.
        display_labels : sequence of length n_classes or None, default=None
            Names of the classes, in the sorted order of the labels. ``None`` shows the labels.
        feature_names : sequence of str or None, default=None
            Names of the columns of a table. ``None`` takes those of a DataFrame.
        **options : dict
            Parameters of `plot`.

        Returns
        -------
        DistilledImagesDisplay
            The display after drawing.

        Raises
        ------
        ValueError
            If samples, labels, steps, `sample_shape` and names do not match.
        """
        recipe = X.recipe if isinstance(X, DistilledData) else None
        if isinstance(X, DistilledData):
            X, y, lrs = X
        if recipe is not None and recipe.table is not None:
            X, feature_names = recipe.numbers(X), recipe.table.names()
        if feature_names is None:
            feature_names = getattr(X, "columns", None)
        if feature_names is not None:
            feature_names = list(feature_names)
        X, y = np.asarray(X), np.asarray(y)
        n_steps = n_steps if lrs is None else step_sizes(lrs).shape[1]
        if y.shape[:1] != X.shape[:1] or n_steps < 1 or len(X) % n_steps:
            raise ValueError(
                f"y must have a label for each of the {len(X)} samples of X, and they must make up "
                f"n_steps={n_steps} mini-batches of equal size, but y has shape {y.shape}. Pass X, "
                "y and lrs as transform returned them, or the DistilledData itself."
            )
        targets = None if recipe is None else recipe.targets
        target, display_labels = _columns(y, targets, display_labels)
        samples, standardized = _presentable(
            X, sample_shape, None if recipe is None else recipe.units
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
            Axes to draw on. ``None`` makes a new figure.
        cmap : str, Colormap or None, default=None
            Colour map of grey images or of a table. ``None`` takes ``"gray"`` for images,
            ``"RdBu_r"`` for a table in standardised units and ``"viridis"`` for any other table.
        limits : tuple of float or None, default=None
            Values of the first and the last colour. ``None`` takes the 1st and the 99th percentile
            of all samples. In standardised units the limits are symmetric about 0.

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

    def _grid(self, ax: Any, images: Array, **colours: Any) -> None:
        n_classes = len(self.display_labels)
        names = [str(name) for name in self.display_labels]
        step = np.repeat(np.arange(self.n_steps), len(images) // self.n_steps)
        rank, seen = np.zeros(len(images), int), np.zeros((self.n_steps, n_classes), int)
        for i, where in enumerate(zip(step, self.target, strict=True)):
            rank[i] = seen[where]
            seen[where] += 1
        rows = seen.max(axis=1)  # of each step
        columns = n_classes
        if n_classes > _ONE_BAND:
            columns = min(max(10, math.ceil(math.sqrt(n_classes * rows.sum()))), _ONE_BAND)
        bands = -(-n_classes // columns)

        # From here on, the unit of length is the width of an image; x runs right and y down.
        width, height = 1 + _GAP, images.shape[1] / images.shape[2] + _GAP
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
        for image, s, c, r in zip(images, step, self.target, rank, strict=True):
            x, y = c % columns * width, c // columns * band + top[s] + r * height
            extent = (x, x + 1, y + height - _GAP, y)
            self.images_.append(ax.imshow(image, extent=extent, interpolation="nearest", **colours))
        size = min(max(72 * inches / (0.6 * max(1, *map(len, names))), 5), 9)
        for c, name in enumerate(names):
            x, y = c % columns * width + 0.5, c // columns * band + title - _GAP
            ax.text(x, y, name, ha="center", va="bottom", fontsize=size)
        ax.set(xlim=(-_GAP, columns * width), ylim=(bands * band, 0), xticks=[], yticks=[])
        ax.set_aspect("equal", anchor="NW")  # if centred, constrained layout would cut off labels
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


def _columns(y: Array, targets: Targets | None, labels: Any) -> tuple[Array, Any]:
    """The column in which each sample is shown, and the label of each column."""
    classes = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
    if isinstance(targets, Continuous):
        if labels is None:
            labels = [f"{value:.3g}" for value in classes]
    elif targets is not None:
        classes = targets.values
    column = np.searchsorted(classes, y) if y.ndim == 1 else y.argmax(axis=1)
    if labels is None:
        labels = classes
    if len(labels) != len(classes):
        raise ValueError(
            f"display_labels must name each of the {len(classes)} classes, but has {len(labels)} "
            f"names: {list(labels)}."
        )
    if isinstance(targets, Multilabel):  # one column for each set of labels
        without, column = np.unique(y <= 0.5, axis=0, return_inverse=True)
        names = np.asarray(labels, dtype=str)
        labels = [", ".join(names[~row]) or "none" for row in without]
    return column, labels


def _presentable(
    X: Array, sample_shape: tuple[int, ...] | None, units: Standardize | None
) -> tuple[Array, bool]:
    """Images in the units of X, or a table; and whether the table is in standardised units."""
    if sample_shape is None and units is not None:
        sample_shape = units.sample_shape
    shape = student_shape(X.shape[1:], sample_shape)
    if len(shape) in (2, 3):
        x = Standardize(X.shape[1:], shape)(as_tensor(X)).reshape(len(X), -1, *shape[-2:])
        channels_last = x.movedim(1, -1).numpy()
        return channels_last if x.shape[1] == 3 else channels_last.mean(-1), False
    if units is None:
        return StandardScaler().fit_transform(X.reshape(len(X), -1)), True
    z = units(as_tensor(X)).flatten(1).numpy()
    return z, units.scale.ndim > 0  # a scalar scale means that the fit did not standardise
