"""The distillers and their fit."""

from .base import BaseDistiller
from .classifier import DatasetDistiller
from .cost import Cost
from .measure import Starts
from .parameters import DistillerParameters
from .phases import AUGMENTATIONS, Phase
from .plan import Plan
from .problem import Problem
from .regressor import DatasetDistillerRegressor
from .result import FittedClassifier
from .start import class_labels, starting_set

__all__ = [
    "AUGMENTATIONS",
    "BaseDistiller",
    "Cost",
    "DatasetDistiller",
    "DatasetDistillerRegressor",
    "DistillerParameters",
    "FittedClassifier",
    "Phase",
    "Plan",
    "Problem",
    "Starts",
    "class_labels",
    "starting_set",
]
