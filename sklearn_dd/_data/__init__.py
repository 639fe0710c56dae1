"""Data: checks of X and y, and their conversion to what students see and back."""

from .arrays import Array, as_tensor, fingerprint, resolve_device
from .batches import RealData
from .checks import class_indices, dense, multiclass_set, new_samples, samples_for
from .real_set import RealSet, classification_data, regression_data
from .split import hold_out
from .table import Table
from .targets import Continuous, Multiclass, Multilabel, Targets, read_targets
from .units import Standardize, student_shape
from .weights import checked_weights, stratified_rows

__all__ = [
    "Array",
    "Continuous",
    "Multiclass",
    "Multilabel",
    "RealData",
    "RealSet",
    "Standardize",
    "Table",
    "Targets",
    "as_tensor",
    "checked_weights",
    "class_indices",
    "classification_data",
    "dense",
    "fingerprint",
    "hold_out",
    "multiclass_set",
    "new_samples",
    "read_targets",
    "regression_data",
    "resolve_device",
    "samples_for",
    "stratified_rows",
    "student_shape",
]
