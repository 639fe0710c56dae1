"""The base of the displays: how they read a distiller, and the axes that they draw on."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .._data import Array
from .._distilled import check_distiller


class Display:
    """Base of the displays, which follow those of scikit-learn."""

    ax_: Any
    figure_: Any
    from_data: Any  # defined by every display: data -> a display that is drawn
    _data_of: Any  # a fitted distiller -> the arguments of from_data

    @classmethod
    def from_estimator(cls, distiller: Any, **options: Any) -> Self:
        """Draw the results of a fitted distiller.

        Parameters
        ----------
        distiller : DatasetDistiller
            A fitted distiller. For a pipeline, pass its last step, ``pipe[-1]``.
        **options : dict
            Further parameters of `from_data` and of `plot`, such as ``ax``.

        Returns
        -------
        Display
            The display after drawing.

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


def step_sizes(lrs: Any) -> Array:
    """Step sizes as an array, checked to have two axes."""
    lrs = np.asarray(lrs)
    if lrs.ndim != 2:
        raise ValueError(
            f"lrs must have shape (n_epochs, n_steps), got {lrs.shape}. Reshape it: for a single "
            "epoch, pass lrs.reshape(1, -1)."
        )
    return lrs
