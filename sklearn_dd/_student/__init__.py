"""Students: their specification, as pure functions for the engine, and as skorch nets."""

from .fitted import fit_model, is_random, seeded, weighted_rows
from .function import Acceleration, acceleration, student_fn
from .models import register_counterpart
from .replay import Student, replay_student
from .several import ModelSpec, SeveralSpec, Spec, function_of, named, prior_of, rebuilt, specify
from .spec import StudentSpec, choose_student, is_model
from .trees import quicker
from .weights import NET, Nets, known_nets, load_pool, state_of, weight_prior

__all__ = [
    "NET",
    "Acceleration",
    "ModelSpec",
    "Nets",
    "SeveralSpec",
    "Spec",
    "Student",
    "StudentSpec",
    "acceleration",
    "choose_student",
    "fit_model",
    "function_of",
    "is_model",
    "is_random",
    "known_nets",
    "load_pool",
    "named",
    "prior_of",
    "quicker",
    "rebuilt",
    "register_counterpart",
    "replay_student",
    "seeded",
    "specify",
    "state_of",
    "student_fn",
    "weight_prior",
    "weighted_rows",
]
