"""Models of other libraries, each as a differentiable function of the samples it learns from."""

from .counterpart import Counterpart, scaled
from .kernels import KernelRidge
from .neighbours import (
    GaussianClasses,
    NearestCentroid,
    NearestNeighbours,
    NeighbourMeans,
    distances,
)
from .nets import Net
from .optimum import LOGISTIC, SQUARED_HINGE, ConvexLoss, LeastSquares, Linear

__all__ = [
    "LOGISTIC",
    "SQUARED_HINGE",
    "ConvexLoss",
    "Counterpart",
    "GaussianClasses",
    "KernelRidge",
    "LeastSquares",
    "Linear",
    "NearestCentroid",
    "NearestNeighbours",
    "NeighbourMeans",
    "Net",
    "distances",
    "scaled",
]
