"""The outer problem, its hypergradient, and what a method is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..carry import Params
from ..losses import Objective
from ..student_fn import StudentFn

State = Mapping[str, Tensor]
"""Name -> tensor, as a safetensors file holds them."""


class TargetKind(Enum):
    """What y holds."""

    MULTICLASS = auto()
    MULTILABEL = auto()
    CONTINUOUS = auto()


class Hypergradient(NamedTuple):
    """The outer loss and its gradient, mean over the initialisations.

    Attributes
    ----------
    loss : Tensor of shape ()
        The outer loss.
    x : Tensor of shape (n_steps, batch, ...)
        Its gradient with respect to the samples.
    y : Tensor of shape (n_steps, batch, n_outputs)
        Its gradient with respect to the labels.
    lrs : Tensor of shape (n_epochs, n_steps)
        Its gradient with respect to the step sizes.
    """

    loss: Tensor
    x: Tensor
    y: Tensor
    lrs: Tensor


class OuterProblem(NamedTuple):
    """What a method differentiates: training on a distilled set, judged on a real batch.

    Attributes
    ----------
    student : StudentFn
        The student as pure functions of its parameters.
    params : dict of Tensor
        Where training starts, stacked over the initialisations: name -> (n_inits, ...).
    x : Tensor of shape (n_steps, batch, ...)
        Distilled samples, one mini-batch for each step of an epoch.
    y : Tensor of shape (n_steps, batch, n_outputs)
        Their labels.
    lrs : Tensor of shape (n_epochs, n_steps)
        The step sizes.
    objective : callable
        The outer objective, ``(outputs, y) -> scalar``.
    real : tuple of Tensor
        The real batch: samples (n, ...), and y (n,) or (n, n_outputs).
    generator : torch.Generator
        The source of the method's own random draws.
    """

    student: StudentFn
    params: Params
    x: Tensor
    y: Tensor
    lrs: Tensor
    objective: Objective
    real: tuple[Tensor, Tensor]
    generator: torch.Generator

    def zeros(self) -> Hypergradient:
        """A loss of 0 and gradients of 0."""
        like = (self.lrs.sum(), self.x, self.y, self.lrs)
        return Hypergradient(*(torch.zeros_like(t) for t in like))


class Method:
    """Base of the methods: objects that compute a hypergradient.

    A subclass implements ``__call__`` and says with class attributes what it can do. A plain
    function ``OuterProblem -> Hypergradient`` is a method too, with the defaults below.

    Attributes
    ----------
    learns_step_sizes : bool, default=True
        Whether the gradient with respect to the step sizes is computed. After a method that does
        not, `Unrolled` learns them in the second half of the fit.
    needs_features : bool, default=False
        Whether the method works on the input of the student's last linear layer.
    targets : frozenset of TargetKind, default=all
        Which kinds of y the method takes.
    default_objective : callable or None, default=None
        What the method minimises where the user leaves ``objective`` at its default.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, Unrolled
    >>> from sklearn_dd.methods import Method
    >>> class SamplesOnly(Method):
    ...     learns_step_sizes = False
    ...     def __call__(self, problem):
    ...         exact = Unrolled()(problem)
    ...         return exact._replace(lrs=exact.lrs * 0)
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(method=SamplesOnly(), max_iter=4, random_state=0).fit(X, y)
    >>> distiller.n_iter_
    4
    """

    learns_step_sizes: bool = True
    needs_features: bool = False
    targets: frozenset[TargetKind] = frozenset(TargetKind)
    default_objective: Objective | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if isinstance(own.get("default_objective"), FunctionType):
            # A function in a class would become a method, and be passed the object too.
            cls.default_objective = staticmethod(own["default_objective"])
        if isinstance(own.get("targets"), TargetKind):
            cls.targets = frozenset({own["targets"]})

    def __call__(self, problem: OuterProblem, /) -> Hypergradient:
        """Return the outer loss and its gradient."""
        raise NotImplementedError

    def state_dict(self) -> State:
        """What the method carries from one outer iteration to the next; by default nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Continue from the state of another method of the same kind."""


@dataclass(eq=False)
class FunctionMethod(Method):
    """A method from a callable that is no `Method`, with what its attributes say.

    Parameters
    ----------
    function : callable
        ``OuterProblem -> Hypergradient``.
    """

    function: Callable[[OuterProblem], Hypergradient]

    def __post_init__(self) -> None:
        for name in ("learns_step_sizes", "needs_features", "targets", "default_objective"):
            setattr(self, name, getattr(self.function, name, getattr(Method, name)))

    def __call__(self, problem: OuterProblem, /) -> Hypergradient:
        """Return what the function returns."""
        return self.function(problem)

    def state_dict(self) -> State:
        """What the callable carries, if it is an object that says so."""
        return getattr(self.function, "state_dict", super().state_dict)()

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        getattr(self.function, "load_state_dict", super().load_state_dict)(state)


def as_method(method: Any) -> Method:
    """``method`` itself, or a callable as a `Method`."""
    if isinstance(method, Method):
        return method
    if isinstance(method, type) or not callable(method):
        raise TypeError(
            f"A method must be an object, such as Unrolled(window=10), or a function of an "
            f"OuterProblem, got {method!r}."
        )
    return FunctionMethod(method)


class Wrapper(Method):
    """Base of methods around another one, which decides what they can do."""

    method: Method

    @property
    def learns_step_sizes(self) -> bool:  # type: ignore[override]
        return self.method.learns_step_sizes

    @property
    def needs_features(self) -> bool:  # type: ignore[override]
        return self.method.needs_features

    @property
    def targets(self) -> frozenset[TargetKind]:  # type: ignore[override]
        return self.method.targets

    @property
    def default_objective(self) -> Objective | None:  # type: ignore[override]
        return self.method.default_objective

    def state_dict(self) -> State:
        """What the inner method carries from one outer iteration to the next."""
        return self.method.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue from there."""
        self.method.load_state_dict(state)
