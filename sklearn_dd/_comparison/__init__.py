"""Comparison of a distilled set with other sets."""

from .compare import all_baselines, compare
from .table import Comparison

__all__ = [
    "Comparison",
    "all_baselines",
    "compare",
]
