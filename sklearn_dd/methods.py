"""Methods: how the hypergradient is computed.

Pass one of them, or a list of them, as ``method=`` of a distiller. A method of your own subclasses
`Method`, takes an `OuterProblem` and returns a `Hypergradient`.
"""

from ._engine import (
    Clipped,
    CudaGraph,
    DistributionMatching,
    GradientMatching,
    Hypergradient,
    Method,
    OrdinaryLoops,
    OuterProblem,
    Ridge,
    TargetKind,
    Unrolled,
    naive_hypergradient,
)

__all__ = [
    "Clipped",
    "CudaGraph",
    "DistributionMatching",
    "GradientMatching",
    "Hypergradient",
    "Method",
    "OrdinaryLoops",
    "OuterProblem",
    "Ridge",
    "TargetKind",
    "Unrolled",
    "naive_hypergradient",
]
