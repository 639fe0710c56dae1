"""Dataset distillation behind scikit-learn's estimator API."""

from importlib.metadata import version

from .distilled import DistilledData, load_distilled, save_distilled
from .distiller import DatasetDistiller

__version__ = version("sklearn_dd")
__all__ = [
    "DatasetDistiller",
    "DistilledData",
    "load_distilled",
    "save_distilled",
]
