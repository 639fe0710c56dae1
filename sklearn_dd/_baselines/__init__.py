"""What a distilled set has to beat: small sets that are chosen, not learned."""

from .base import Baseline
from .kinds import ClassMeans, Herding, KCenters, KMeansCenters, Medoids, RandomSamples

__all__ = [
    "Baseline",
    "ClassMeans",
    "Herding",
    "KCenters",
    "KMeansCenters",
    "Medoids",
    "RandomSamples",
]
