"""Dataset distillation behind scikit-learn's estimator API."""

from importlib.metadata import version

from .attack import AttackReport, AttackScores, TargetedAttack, attack_report
from .baselines import ClassMeans, Herding, KCenters, KMeansCenters, RandomSamples
from .comparison import Comparison, all_baselines, compare
from .display import ConvergenceDisplay, DistilledImagesDisplay, LearningRatesDisplay
from .distilled import DistilledData, load_distilled, save_distilled
from .distiller import DatasetDistiller
from .evaluation import Evaluation
from .files import load_pool
from .pools import train_pool
from .regressor import DatasetDistillerRegressor

__version__ = version("sklearn_dd")
__all__ = [
    "AttackReport",
    "AttackScores",
    "ClassMeans",
    "Comparison",
    "ConvergenceDisplay",
    "DatasetDistiller",
    "DatasetDistillerRegressor",
    "DistilledData",
    "DistilledImagesDisplay",
    "Evaluation",
    "Herding",
    "KCenters",
    "KMeansCenters",
    "LearningRatesDisplay",
    "RandomSamples",
    "TargetedAttack",
    "all_baselines",
    "attack_report",
    "compare",
    "load_distilled",
    "load_pool",
    "save_distilled",
    "train_pool",
]
