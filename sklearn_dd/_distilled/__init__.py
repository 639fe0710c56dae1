"""Distilled data: what a fit returns, and what a file holds."""

from .bundled import load_distilled_digits
from .checks import check_distiller, check_multiclass
from .data import DistilledData
from .file import load_distilled, save_distilled
from .provenance import describe, identity
from .recipe import STUDENT, Recipe

__all__ = [
    "STUDENT",
    "DistilledData",
    "Recipe",
    "check_distiller",
    "check_multiclass",
    "describe",
    "identity",
    "load_distilled",
    "load_distilled_digits",
    "save_distilled",
]
