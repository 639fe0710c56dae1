"""Dataset distillation behind scikit-learn's estimator API."""

from importlib.metadata import version

from .display import ConvergenceDisplay, DistilledImagesDisplay, LearningRatesDisplay
from .distilled import DistilledData, load_distilled, save_distilled
from .distiller import DatasetDistiller
from .evaluation import Evaluation

__version__ = version("sklearn_dd")
__all__ = [
    "ConvergenceDisplay",
    "DatasetDistiller",
    "DistilledData",
    "DistilledImagesDisplay",
    "Evaluation",
    "LearningRatesDisplay",
    "load_distilled",
    "save_distilled",
]
