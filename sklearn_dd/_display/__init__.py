"""Displays: figures of distilled data and of fits."""

from .curves import ConvergenceDisplay, LearningRatesDisplay
from .images import DistilledImagesDisplay

__all__ = [
    "ConvergenceDisplay",
    "DistilledImagesDisplay",
    "LearningRatesDisplay",
]
