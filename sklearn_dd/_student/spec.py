"""The specification of a student, from what the user passed as ``student``, and its checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from .. import students
from .._data import Targets
from .._engine import SGD, Adam, Drawing, Momentum, Optimizer, TargetKind, generator

_WIDTH = 512  # of the student of those who name none


@dataclass(frozen=True)
class StudentSpec:
    """How to build a student, and the optimiser that trains it."""

    module: Callable[..., nn.Module]
    arguments: dict[str, Any]
    sample_shape: tuple[int, ...]
    optimizer: Optimizer = field(default_factory=SGD)

    takes_steps: ClassVar[bool] = True

    def __call__(self) -> nn.Module:
        return self.module(**self.arguments)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        with Drawing(generator(0)):
            return {name: tuple(p.shape) for name, p in self().named_parameters()}

    @property
    def name(self) -> str:
        """The name of the class."""
        return getattr(self.module, "__name__", type(self.module).__name__)


def is_model(student: Any) -> bool:
    """Whether a student is an estimator of scikit-learn, and not a net."""
    return isinstance(student, BaseEstimator) and not isinstance(student, NeuralNet)


def choose_student(
    student: Any,
    sample_shape: tuple[int, ...],
    targets: Targets,
    optimizer: Optimizer | None = None,
) -> StudentSpec:
    """Choose the student that the user passed, and check it on two samples.

    Parameters
    ----------
    student : None, nn.Module class, partial of one or unfitted skorch net
        ``None`` is an ``MLP`` of 512 units. A constructor that names ``sample_shape`` or
        ``n_classes`` is passed them, unless the user has set them.
    sample_shape : tuple of int
        Shape of one sample, as the student sees it.
    targets : Multiclass, Multilabel or Continuous
        The targets that the student predicts.
    optimizer : Optimizer or None
        The optimiser of a student that is not a skorch net. ``None`` is gradient descent.

    Returns
    -------
    StudentSpec
        The specification.
    """
    module: Any = student
    arguments: dict[str, Any] = {}
    optimizer = optimizer or SGD()
    if student is None:
        module, arguments = students.MLP, {"width": _WIDTH}
    elif isinstance(student, partial) and not student.args:
        module, arguments = student.func, dict(student.keywords)
    elif isinstance(student, NeuralNet):
        _check_skorch(student, targets.kind)
        module, arguments = student.module, student.get_params_for("module")
        optimizer = _inner_optimizer(student.optimizer, student.get_params_for("optimizer"))
    if isinstance(module, nn.Module) or not callable(module):
        raise TypeError(
            "student must be None, an nn.Module class or an unfitted skorch net, such as "
            f"NeuralNetClassifier, around a class, but got {student!r}. An instance cannot be "
            "built again for each initialisation: pass its class."
        )
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"torch's default dtype must be float32, in which students compute, but it is "
            f"{torch.get_default_dtype()}: call torch.set_default_dtype(torch.float32)."
        )
    known = {"sample_shape": sample_shape, "n_classes": targets.n_outputs}
    names = inspect.signature(module).parameters
    arguments = {k: v for k, v in known.items() if k in names} | arguments
    spec = StudentSpec(module, arguments, sample_shape, optimizer)
    _check(spec, targets.n_outputs)
    return spec


def built_in(name: str, arguments: Mapping[str, Any]) -> Any:
    """The student of this package with that name, as a file describes it; None for any other."""
    own = {k: v for k, v in arguments.items() if k not in ("sample_shape", "n_classes")}
    if name not in students.__all__ or not all(isinstance(v, int | float) for v in own.values()):
        return None
    return partial(getattr(students, name), **own)


def _check(spec: StudentSpec, n_outputs: int) -> None:
    """Build the student once and run two samples through it."""
    with Drawing(generator(0)):
        try:
            module = spec()
        except TypeError as error:
            raise TypeError(
                f"student {spec.name} cannot be built: {error}. Its constructor may name "
                "sample_shape and n_classes; give other arguments a default, or pass them in a "
                "skorch net as module__name."
            ) from error
        if not isinstance(module, nn.Module):
            raise TypeError(f"student {spec.name} must build an nn.Module, got {type(module)}.")
        _check_parameters(module, spec.name)
        before = {name: b.clone() for name, b in module.named_buffers()}
        # Training mode shows which buffers change; dropout draws from the global generator.
        try:
            x = torch.randn(2, *spec.sample_shape)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                outputs = module(passed := x.clone())
        except Exception as error:
            raise ValueError(
                f"student {spec.name} cannot take samples of sample_shape="
                f"{spec.sample_shape}: {error} Give the sample_shape that it expects, or "
                "another student."
            ) from error
    if not isinstance(outputs, Tensor) or outputs.shape != (2, n_outputs):
        shape = tuple(getattr(outputs, "shape", ()))
        raise ValueError(
            f"student {spec.name} must return logits of shape (batch, {n_outputs}), one for each "
            f"class of y or one for regression, but two samples gave shape {shape}. Let its "
            "constructor take n_classes as the size of its last layer."
        )
    if not torch.equal(passed, x):
        raise ValueError(
            f"student {spec.name} changes the samples that it is passed. Let its forward work on "
            "a copy, for example x = x * 2 in place of x *= 2."
        )
    if n_outputs > 1 and (outputs >= 0).all() and torch.allclose(outputs.sum(1), torch.ones(2)):
        raise ValueError(
            f"student {spec.name} returns probabilities, but the loss takes logits. "
            "Leave out its last softmax."
        )
    for name, buffer in module.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise ValueError(
                f"student {spec.name} has the buffer {name!r} that training changes, such as "
                "the running statistics of BatchNorm; a student must be a pure function of its "
                "parameters. Use GroupNorm or InstanceNorm, or track_running_stats=False."
            )


def _check_parameters(module: nn.Module, name: str) -> None:
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ValueError(f"student {name} has no parameters, so there is nothing to train.")
    for key, p in parameters.items():
        if isinstance(p, UninitializedParameter):
            raise ValueError(
                f"student {name} has the lazy parameter {key!r}: set the sizes of its layers, "
                "which the constructor can take from sample_shape."
            )
        if not p.requires_grad:
            raise ValueError(
                f"student {name} has the frozen parameter {key!r}, but every parameter is trained: "
                "register it as a buffer."
            )


# The criteria that agree with the inner loss, for each kind of y.
_CRITERIA: dict[TargetKind, tuple[type[nn.Module], ...]] = {
    TargetKind.MULTICLASS: (nn.NLLLoss, nn.CrossEntropyLoss),  # NLLLoss is skorch's default
    TargetKind.MULTILABEL: (nn.NLLLoss, nn.BCEWithLogitsLoss),
    TargetKind.CONTINUOUS: (nn.MSELoss, nn.NLLLoss),
}


def _check_skorch(net: NeuralNet, kind: TargetKind) -> None:
    """Refuse settings that a distilled schedule would silently ignore."""
    allowed = _CRITERIA[kind]
    options = {k: v for k, v in net.get_params_for("criterion").items() if v is not None}
    if net.criterion not in allowed or options:
        raise ValueError(
            f"student has the criterion {getattr(net.criterion, '__name__', net.criterion)} with "
            f"{options}, but for a {kind.name.lower()} y students train "
            f"with {allowed[1 if kind is not TargetKind.CONTINUOUS else 0].__name__}. Leave "
            "criterion out. To change what a trained student should do, set the distiller's "
            "objective."
        )
    if net.callbacks and net.callbacks != "disable":
        raise ValueError(
            f"student has callbacks={net.callbacks!r}, which a distilled schedule does not call. "
            "Leave callbacks out."
        )


def _inner_optimizer(optimizer: Any, arguments: dict[str, Any]) -> Optimizer:
    """The engine's counterpart of a torch optimiser."""
    make = _OPTIMIZERS.get(optimizer)
    # An option that is 0 or False is off, except eps: Adam with eps=0 is not differentiable.
    arguments = {name: value for name, value in arguments.items() if value or name == "eps"}
    try:
        if make is None:
            raise TypeError("it is neither torch.optim.SGD nor torch.optim.Adam")
        return make(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"student has the optimizer {getattr(optimizer, '__name__', optimizer)} with "
            f"{arguments}, which cannot be differentiated through: {error}. Use torch.optim.SGD, "
            "optionally with optimizer__momentum, or torch.optim.Adam with optimizer__betas and "
            "optimizer__eps."
        ) from error


def _sgd(momentum: float = 0.0) -> Optimizer:
    return Momentum(momentum) if momentum else SGD()


_OPTIMIZERS: dict[Any, Callable[..., Optimizer]] = {torch.optim.SGD: _sgd, torch.optim.Adam: Adam}
