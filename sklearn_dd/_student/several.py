"""Specifications of models, and of several students at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import has_fit_parameter

from .._data import Continuous, Targets
from .._engine import (
    Adam,
    Loss,
    ModelFn,
    Optimizer,
    Prior,
    Several,
    StudentFn,
    TargetKind,
    Weights,
    model_prior,
)
from .function import Acceleration, student_fn
from .models import COUNTERPARTS, counterpart_of, parameter_names
from .spec import StudentSpec, built_in, choose_student, is_model
from .weights import weight_prior

_AND = " + "  # between the names of several students


@dataclass(frozen=True)
class ModelSpec:
    """A scikit-learn model that learns without gradient steps."""

    model: BaseEstimator
    function: ModelFn
    sample_shape: tuple[int, ...]
    optimizer: Optimizer = field(default_factory=Adam)  # of nets that learn from the set too

    takes_steps: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self.model).__name__

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the user set."""
        return self.model.get_params()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """No weights."""
        return {}


@dataclass(frozen=True)
class SeveralSpec:
    """Several students that learn from one set."""

    members: Sequence[StudentSpec | ModelSpec]

    @property
    def takes_steps(self) -> bool:
        """Whether one of them trains by gradient steps."""
        return any(member.takes_steps for member in self.members)

    @property
    def optimizer(self) -> Optimizer:
        """That of the first net; without one, that of nets that learn from the set too."""
        nets = (member.optimizer for member in self.members if member.takes_steps)
        return next(nets, self.members[0].optimizer)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.members[0].sample_shape

    @property
    def name(self) -> str:
        """The names of all."""
        return _AND.join(member.name for member in self.members)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of each."""
        return {str(k): dict(member.arguments) for k, member in enumerate(self.members)}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter of each."""
        return {
            f"{k}.{name}": shape
            for k, member in enumerate(self.members)
            for name, shape in member.shapes().items()
        }


Spec = StudentSpec | ModelSpec | SeveralSpec


def specify(
    student: Any,
    sample_shape: tuple[int, ...],
    targets: Targets,
    optimizer: Optimizer | None = None,
) -> Spec:
    """The specification of a net, of a model, or of a list of them; ``"any"`` stands for a list."""
    student = named(student, targets)
    if isinstance(student, list | tuple):
        if not student:
            raise ValueError("student is an empty list. Give at least one, or None.")
        if any(each is None or isinstance(each, str | list | tuple) for each in student):
            raise TypeError(
                f"student={student!r} must be one list of models and nets, such as "
                "[LogisticRegression(), MLP]."
            )
        members = [_specify(each, sample_shape, targets, optimizer) for each in student]
        if len({repr(each.optimizer) for each in members if each.takes_steps}) > 1:
            raise ValueError(
                f"student={student!r} has nets with different optimisers, which cannot share their "
                "step sizes. Give all nets the same one."
            )
        return SeveralSpec(members)
    return _specify(student, sample_shape, targets, optimizer)


def _specify(
    student: Any, sample_shape: tuple[int, ...], targets: Targets, optimizer: Optimizer | None
) -> StudentSpec | ModelSpec:
    """The specification of one student."""
    if is_model(student):
        _check_kind(student, targets)
        takes_shares = isinstance(targets, Continuous) or has_fit_parameter(
            student, "sample_weight"
        )
        function = ModelFn(counterpart_of(student, targets.n_outputs), takes_shares)
        return ModelSpec(student, function, sample_shape)
    return choose_student(student, sample_shape, targets, optimizer)


def _check_kind(model: BaseEstimator, targets: Targets) -> None:
    """Refuse a model for another kind of y."""
    suits = {
        TargetKind.MULTICLASS: is_classifier(model),
        TargetKind.CONTINUOUS: is_regressor(model),
        TargetKind.MULTILABEL: False,
    }
    if not suits[targets.kind]:
        raise ValueError(
            f"student={model!r} cannot be distilled for, because y is {targets.kind.name.lower()}. "
            "Take a classifier for a multiclass y, a regressor for numbers, and a net for several "
            "labels."
        )


def named(student: Any, targets: Targets) -> Any:
    """The list that ``"any"`` stands for, the only student of a list, or the student as it is."""
    if isinstance(student, str) and student == "any":
        return any_model(targets)
    is_single = isinstance(student, list | tuple) and len(student) == 1
    return student[0] if is_single and not isinstance(student[0], list | tuple) else student


def any_model(targets: Targets) -> list[BaseEstimator]:
    """The models for all of which a set is learned with ``student="any"``."""
    if isinstance(targets, Continuous):
        return [
            Ridge(), KNeighborsRegressor(1), MLPRegressor(), RandomForestRegressor(),
            GradientBoostingRegressor(),
        ]  # fmt: skip
    return [
        LogisticRegression(), KNeighborsClassifier(1), SVC(), MLPClassifier(),
        RandomForestClassifier(), GradientBoostingClassifier(),
    ]  # fmt: skip


def rebuilt(name: str, arguments: Mapping[str, Any]) -> Any:
    """The student that a file describes by its name and its arguments; None for one of the user's.

    Nothing but classes of this package, of scikit-learn and those with a registered counterpart is
    called, with numbers and strings, or lists of these. None too if the file could not hold an
    argument.
    """
    names = name.split(_AND)
    if len(names) > 1:
        found = [rebuilt(each, arguments.get(str(k), {})) for k, each in enumerate(names)]
        return None if None in found else found
    kinds = {kind.__name__: kind for kind in COUNTERPARTS}
    if name not in kinds:
        return built_in(name, arguments)
    known = parameter_names(kinds[name])
    kept = {k: v for k, v in arguments.items() if k in known}
    if not all(map(_is_simple, kept.values())):
        return None
    model = kinds[name](**kept)
    try:
        if hasattr(model, "_parameter_constraints"):
            model._validate_params()
    except InvalidParameterError:  # the file holds what describes a value, and not the value
        return None
    return model


def _is_simple(value: Any) -> bool:
    """Whether an argument is what a file can hold."""
    if isinstance(value, list):
        return all(map(_is_simple, value))
    return value is None or isinstance(value, int | float | str)


def function_of(
    spec: Spec, device: torch.device, loss: Loss, acceleration: Acceleration | None = None
) -> StudentFn | ModelFn | Several:
    """The student or the students as the engine takes them."""
    if isinstance(spec, SeveralSpec):
        return Several([_function(member, device, loss, acceleration) for member in spec.members])
    return _function(spec, device, loss, acceleration)


def _function(
    spec: StudentSpec | ModelSpec,
    device: torch.device,
    loss: Loss,
    acceleration: Acceleration | None,
) -> StudentFn | ModelFn:
    """One student as the engine takes it."""
    if isinstance(spec, ModelSpec):
        return spec.function
    return student_fn(spec, device, loss, acceleration)


@dataclass(frozen=True)
class Together:
    """The prior of several students: each draws from its own."""

    priors: Sequence[Prior]

    def __call__(self, g: torch.Generator) -> Weights:
        """The parameters of all, with the number of the student in front of each name."""
        return {
            f"{k}.{name}": value
            for k, prior in enumerate(self.priors)
            for name, value in prior(g).items()
        }


def prior_of(init: Any, spec: Spec, seed: int) -> Prior:
    """The weight prior that ``init`` stands for; for models, the seeds of what they draw."""
    is_random = isinstance(init, str) and init == "random"
    if not isinstance(spec, StudentSpec) and not is_random:
        raise ValueError(
            f"init must be 'random' unless student is one net, but student is {spec.name} and init "
            f"is {shorten(repr(init), 60)}."
        )
    if isinstance(spec, SeveralSpec):
        return Together([prior_of(init, member, seed) for member in spec.members])
    return model_prior if isinstance(spec, ModelSpec) else weight_prior(init, spec, seed)
