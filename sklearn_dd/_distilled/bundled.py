"""Distilled sets that come with the package."""

from __future__ import annotations

from pathlib import Path

from .data import DistilledData
from .file import load_distilled

_FOLDER = Path(__file__).parent / "sets"
_SIZES = (1, 10)


def load_distilled_digits(n_per_class: int = 10) -> DistilledData:
    """Load handwritten digits that were distilled for any model.

    They were learned from ``train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)`` of
    scikit-learn's ``load_digits``, with ``student="any"``. ``benchmarks/distilled_digits.py`` made
    them.

    Parameters
    ----------
    n_per_class : {1, 10}, default=10
        Number of samples of each digit.

    Returns
    -------
    DistilledData
        X of shape (10 * n_per_class, 64), y, and no step sizes: the models of ``"any"`` take no
        gradient steps. ``train(model)`` fits any scikit-learn classifier.

    Raises
    ------
    ValueError
        If there is no set of this size.

    See Also
    --------
    DistilledData : What a model can learn from.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.svm import SVC
    >>> from sklearn_dd import load_distilled_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> _, X_test, _, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    >>> model = load_distilled_digits(n_per_class=1).train(SVC())
    >>> model.score(X_test, y_test) > 0.9
    True
    """
    if isinstance(n_per_class, bool) or n_per_class not in _SIZES:
        raise ValueError(f"n_per_class must be 1 or 10, got {n_per_class!r}.")
    return load_distilled(_FOLDER / f"digits_{int(n_per_class)}.safetensors")
