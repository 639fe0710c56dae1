"""Dataset distillation behind scikit-learn's estimator API."""

from importlib.metadata import version

from ._attack import AttackReport, AttackScores, TargetedAttack, attack_report
from ._baselines import (
    Baseline,
    ClassMeans,
    Herding,
    KCenters,
    KMeansCenters,
    Medoids,
    RandomSamples,
)
from ._comparison import Comparison, all_baselines, compare
from ._display import ConvergenceDisplay, DistilledImagesDisplay, LearningRatesDisplay
from ._distilled import DistilledData, load_distilled, load_distilled_digits, save_distilled
from ._distillers import Cost, DatasetDistiller, DatasetDistillerRegressor, Plan
from ._evaluation import Evaluation
from ._pools import train_pool
from ._student import load_pool, register_counterpart
from .augmentation import (
    COLOR,
    DSA,
    Chain,
    OneOf,
    brightness,
    contrast,
    cutout,
    flip,
    rotate,
    saturation,
    scale,
    shift,
)
from .initializers import pytorch_default, xavier_normal
from .methods import (
    Clipped,
    CudaGraph,
    DistributionMatching,
    GradientMatching,
    OrdinaryLoops,
    Ridge,
    Unrolled,
)
from .students import MLP, AlexCifarNet, AlexNet, ConvNet, LeNet

__version__ = version("sklearn_dd")
__all__ = [
    "COLOR",
    "DSA",
    "MLP",
    "AlexCifarNet",
    "AlexNet",
    "AttackReport",
    "AttackScores",
    "Baseline",
    "Chain",
    "ClassMeans",
    "Clipped",
    "Comparison",
    "ConvNet",
    "ConvergenceDisplay",
    "Cost",
    "CudaGraph",
    "DatasetDistiller",
    "DatasetDistillerRegressor",
    "DistilledData",
    "DistilledImagesDisplay",
    "DistributionMatching",
    "Evaluation",
    "GradientMatching",
    "Herding",
    "KCenters",
    "KMeansCenters",
    "LeNet",
    "LearningRatesDisplay",
    "Medoids",
    "OneOf",
    "OrdinaryLoops",
    "Plan",
    "RandomSamples",
    "Ridge",
    "TargetedAttack",
    "Unrolled",
    "all_baselines",
    "attack_report",
    "brightness",
    "compare",
    "contrast",
    "cutout",
    "flip",
    "load_distilled",
    "load_distilled_digits",
    "load_pool",
    "pytorch_default",
    "register_counterpart",
    "rotate",
    "saturation",
    "save_distilled",
    "scale",
    "shift",
    "train_pool",
    "xavier_normal",
]
