"""The engine: distillation in torch alone. What the rest of the package uses of it."""

from .carry import Params, Step, as_leaves
from .counterparts import scaled
from .distilled_set import (
    CLASS_PROBABILITIES,
    LABEL_PROBABILITIES,
    NUMBERS,
    DistilledSet,
    LabelParametrisation,
)
from .fast.kernels import CONVOLUTION, POOLING, Kernels, with_kernels
from .fast.span import first_layer
from .fast.tracing import Traced
from .hypergradients.augmented import Augment, Augmented
from .hypergradients.clipped import Clipped
from .hypergradients.cuda_graph import CudaGraph
from .hypergradients.direct import Direct
from .hypergradients.distribution_matching import DistributionMatching
from .hypergradients.gradient_matching import GradientMatching
from .hypergradients.joint import Joint
from .hypergradients.ordinary_loops import OrdinaryLoops
from .hypergradients.problem import (
    FunctionMethod,
    Hypergradient,
    Method,
    OuterProblem,
    TargetKind,
    as_method,
)
from .hypergradients.reference import naive_hypergradient
from .hypergradients.ridge import Ridge
from .hypergradients.unrolled import Unrolled
from .inner_loop import inner_steps, train, train_students, unroll
from .losses import (
    Loss,
    Objective,
    binary_cross_entropy,
    classification,
    cross_entropy,
    mean_over_students,
    mean_squared_error,
    multilabel,
    regression,
)
from .memory import peak_bytes
from .model_fn import (
    AnyStudent,
    ModelFn,
    Several,
    each_student,
    has_models,
    members,
    model_prior,
)
from .optimizers import SGD, Adam, Momentum, Optimizer
from .outer_loop import Iteration, OuterLoop
from .priors import Pool, Prior, Weights, distinct, draw, hold_out_nets, known_net
from .private_torch import MISSING
from .reducer import Reducer, join
from .seeds import Drawing, Stream, fold, generator
from .student_fn import ConvNd, StudentFn, pure, pure_features

__all__ = [
    "CLASS_PROBABILITIES",
    "CONVOLUTION",
    "LABEL_PROBABILITIES",
    "MISSING",
    "NUMBERS",
    "POOLING",
    "SGD",
    "Adam",
    "AnyStudent",
    "Augment",
    "Augmented",
    "Clipped",
    "ConvNd",
    "CudaGraph",
    "Direct",
    "DistilledSet",
    "DistributionMatching",
    "Drawing",
    "FunctionMethod",
    "GradientMatching",
    "Hypergradient",
    "Iteration",
    "Joint",
    "Kernels",
    "LabelParametrisation",
    "Loss",
    "Method",
    "ModelFn",
    "Momentum",
    "Objective",
    "Optimizer",
    "OrdinaryLoops",
    "OuterLoop",
    "OuterProblem",
    "Params",
    "Pool",
    "Prior",
    "Reducer",
    "Ridge",
    "Several",
    "Step",
    "Stream",
    "StudentFn",
    "TargetKind",
    "Traced",
    "Unrolled",
    "Weights",
    "as_leaves",
    "as_method",
    "binary_cross_entropy",
    "classification",
    "cross_entropy",
    "distinct",
    "draw",
    "each_student",
    "first_layer",
    "fold",
    "generator",
    "has_models",
    "hold_out_nets",
    "inner_steps",
    "join",
    "known_net",
    "mean_over_students",
    "mean_squared_error",
    "members",
    "model_prior",
    "multilabel",
    "naive_hypergradient",
    "peak_bytes",
    "pure",
    "pure_features",
    "regression",
    "scaled",
    "train",
    "train_students",
    "unroll",
    "with_kernels",
]
