"""Figures."""

from .curves import ConvergenceDisplay, LearningRatesDisplay
from .images import DistilledImagesDisplay

__all__ = [
    "ConvergenceDisplay",
    "DistilledImagesDisplay",
    "LearningRatesDisplay",
]
