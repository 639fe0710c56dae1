"""The plan of a fit: what it takes for the parameters that the user left open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from numbers import Integral
from textwrap import shorten
from typing import Any

from .._data import RealSet, Targets
from .._engine import AnyStudent, ConvNd, Drawing, Ridge, TargetKind, Unrolled, generator
from .._student import Spec, StudentSpec
from ..students import MLP

_SECONDS = 60.0  # the budget that a fit without a limit is planned for
_SPEED = 5e10  # operations per second, roughly: a plan must not depend on the machine
_MAX_WIDTH = 40  # of a value in the printed plan
_WIDTHS = (512, 256, 128, 64)  # of an MLP
_ITERATIONS = 300  # that a budget should suffice for
_PASSES = 10  # of a student
_PASSES_OF_ONE, _FEWEST_PASSES = 5, 3  # of one known net, which needs fewer
_PLENTY = 5  # real samples for each learned value: one known net cannot fit them too well
_WINDOWED_STEPS, _WINDOW = 50, 5  # of a student whose steps are unrolled window by window
_BATCH = 256  # real samples
_OUTER_LR, _OUTER_LR_OF_SHORT, _OUTER_LR_OF_FREE = 0.02, 0.05, 0.1
_SHORT = 500  # iterations


class Plan(Mapping[str, Any]):
    """The parameters that a fit was run with, and why.

    A plan is a mapping from names of parameters to values. Parameters that the user set keep their
    values; the rest is decided from the data, the budget and the seed. The choice uses no test
    data.

    Parameters
    ----------
    values : dict
        Name of a parameter -> value.
    reasons : dict
        Name of a parameter -> why it has this value, in a few words.
    seconds : float or None, default=None
        The time limit that the plan was made for.

    See Also
    --------
    DatasetDistiller : Its fitted attribute ``plan_`` is a plan.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> plan = DatasetDistiller(max_iter=20, random_state=0).fit(X, y).plan_
    >>> plan["max_iter"], plan["method"], plan["n_epochs"]
    (20, 'unrolled', 10)

    A plan can be printed, changed and passed back:

    >>> changed = DatasetDistiller(**{**plan, "n_epochs": 5}, random_state=0).fit(X, y)
    >>> changed.lrs_.shape
    (5, 1)
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        reasons: Mapping[str, str],
        seconds: float | None = None,
    ) -> None:
        self._values, self.reasons, self.seconds = dict(values), dict(reasons), seconds
        self._iterations = self._values.get("max_iter") or math.inf  # that are expected, at most

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        rows = [(name, _shown(value), self.reasons[name]) for name, value in self.items()]
        name, value = (max(len(row[k]) for row in rows) for k in range(2))
        return "\n".join(f"{n:<{name}}  {v:<{value}}  {why}" for n, v, why in rows)

    def expects_at_most(self, n: int) -> bool:
        """Whether no more than so many iterations are expected.

        Parameters
        ----------
        n : int
            Number of outer iterations.

        Returns
        -------
        bool
            False where nothing is known of their number.
        """
        return self._iterations <= n

    def decide(self, name: str, value: Any, reason: str) -> None:
        """Give a parameter a value, unless it has one.

        Parameters
        ----------
        name : str
            The parameter.
        value : object
            Its value.
        reason : str
            Why it has this value.
        """
        if is_open(self.get(name)):
            self._values[name], self.reasons[name] = value, reason


def _shown(value: Any) -> str:
    """A value as the printed plan shows it."""
    if isinstance(value, partial):
        made = ", ".join(f"{k}={v!r}" for k, v in value.keywords.items())
        return f"partial({value.func.__name__}, {made})"
    return getattr(value, "__name__", None) or shorten(repr(value), _MAX_WIDTH, placeholder="...")


class Settings:
    """The parameters of a distiller, with the plan's values for those that were left open."""

    def __init__(self, distiller: Any, plan: Plan) -> None:
        self.distiller, self.plan = distiller, plan

    def __getattr__(self, name: str) -> Any:
        plan = self.__dict__["plan"]
        return plan[name] if name in plan else getattr(self.__dict__["distiller"], name)


PLANNED = (
    "student", "method", "n_steps", "n_epochs", "labels", "data_init", "distill_lr", "outer_lr",
    "step_size_rate", "batch_size", "n_inits", "random_share", "max_iter",
)  # fmt: skip


def is_open(value: Any) -> bool:
    """Whether a parameter is left to the plan."""
    return value is None or (isinstance(value, str) and value == "auto")


def first_plan(distiller: Any, seconds: float | None) -> Plan:
    """What the user set, and the number of mini-batches, which the checks of the data need."""
    values = {name: getattr(distiller, name, None) for name in PLANNED}
    reasons = {k: "open" if is_open(v) else "set" for k, v in values.items()}
    if values["max_iter"] is None:
        reasons["max_iter"] = "until max_time, or until nothing gets better"
    plan = Plan(values, reasons, seconds)
    is_regression = not hasattr(distiller, "n_per_class")
    sizes = distiller.n_samples if is_regression else distiller.n_per_class
    plan.decide("n_steps", *_mini_batches(sizes))
    return plan


def operations(plan: Plan) -> float:
    """How many operations the budget allows, roughly."""
    return _SPEED * (plan.seconds or _SECONDS)


def plan_student(
    plan: Plan, real: RealSet, sample_shape: tuple[int, ...], *, is_given: bool
) -> None:
    """Decide the student: the widest MLP that the budget allows.

    Where weights are given, the student is the one that pools have by default.
    """
    if is_given:
        plan.decide("student", partial(MLP, width=_WIDTHS[0]), "the student of pools")
    n_values, n_samples = math.prod(sample_shape), int(real.counts.sum()) * plan["n_steps"]
    n_outputs = real.targets.n_outputs

    def iterations(width: int) -> float:
        # In the span of the samples, steps see no more values than there are samples.
        spans = n_samples <= width and 2 * n_samples <= n_values
        step = 2 * width * ((n_samples if spans else n_values) + n_outputs) * n_samples
        outer_pass = 2 * width * (n_values + n_outputs) * (n_samples + _BATCH)
        # A step and its reverse take about nine forward passes, the outer pass takes three.
        return operations(plan) / (9 * _PASSES * step + 3 * outer_pass)

    enough = (w for w in _WIDTHS if iterations(w) >= _ITERATIONS)
    width = next(enough, max(_WIDTHS, key=iterations))
    if is_open(plan["student"]) and plan.seconds is not None:
        plan._iterations = min(plan._iterations, iterations(width))
    plan.decide("student", partial(MLP, width=width), "the widest that the budget allows")


def suits_windows(plan: Plan, spec: Spec, student: AnyStudent, targets: Targets) -> bool:
    """Whether a student is one whose whole training is too slow to go back through.

    Convolutional students need many small steps. Ridge regressions on their features, and then
    short windows of their training, teach them more in the same time.
    """
    if not isinstance(spec, StudentSpec):
        return False
    with Drawing(generator(0)):
        convolves = any(isinstance(layer, ConvNd) for layer in spec().modules())
    can = getattr(student, "features", None) is not None and targets.kind in Ridge.targets
    may_choose = is_open(plan["method"]) or isinstance(plan["method"], list | tuple)
    return convolves and can and may_choose


def plan_learning(
    plan: Plan, *, by_windows: bool, init: Any, is_known: bool, has_plenty: bool, kind: TargetKind,
    takes_steps: bool, has_models: bool,
) -> None:  # fmt: skip
    """Decide how students learn and how the set is learned, but for what is measured.

    One known net learns more from labels that are free, in few steps and at a high outer rate, but
    only where there are many real samples. Such a set would fit a few too well. So would any set
    for one net, unless it serves random ones too.
    """
    may_be_free = is_open(plan["labels"]) or plan["labels"] == "free"
    is_free = is_known and has_plenty and may_be_free and kind is not TargetKind.CONTINUOUS
    if by_windows:
        plan.decide("method", [Ridge(), Unrolled(window=_WINDOW)], "the student convolves")
    plan.decide("method", "unrolled", "the exact gradient")
    if not takes_steps:
        plan.decide("n_epochs", 0, "no student takes gradient steps")
        plan.decide("distill_lr", 1.0, "no student takes gradient steps")
    if by_windows:
        plan.decide("n_epochs", _WINDOWED_STEPS // plan["n_steps"] or 1, "for this method")
    elif is_known:
        n_epochs = _FEWEST_PASSES if is_free else _PASSES_OF_ONE
        plan.decide("n_epochs", n_epochs, "one known net needs few steps")
    plan.decide("n_epochs", _PASSES, "enough for a student from random weights")
    if kind is TargetKind.CONTINUOUS:
        plan.decide("labels", "free", "targets are numbers")
    elif is_free:
        plan.decide("labels", "free", "it serves one net alone, and real samples are many")
    plan.decide("labels", "hard", "any model can learn from them")
    _plan_outer_lr(plan, is_free, by_windows, has_models, kind)
    plan.decide("step_size_rate", 0.1, "so that step sizes do not outrun the samples")
    plan.decide(
        "batch_size", _BATCH, "noise that keeps the set from fitting the real samples too well"
    )
    plan.decide("n_inits", 1, "more iterations do more than more students")
    if init == "fixed" and not has_plenty:
        plan.decide("random_share", 0.5, "so that the set does not fit few samples too well")
    plan.decide("random_share", 0.0, "students start as init says")


def _plan_outer_lr(
    plan: Plan, is_free: bool, by_windows: bool, has_models: bool, kind: TargetKind
) -> None:
    """Decide the outer learning rate."""
    if is_free:
        plan.decide("outer_lr", _OUTER_LR_OF_FREE, "for one known net")
    if by_windows:
        plan.decide("outer_lr", _OUTER_LR, "for this method")
    if has_models:  # their iterations take long
        plan.decide("outer_lr", _OUTER_LR_OF_SHORT, "for models")
    if kind is TargetKind.CONTINUOUS:
        plan.decide("outer_lr", _OUTER_LR_OF_SHORT, "for numbers")
    if plan.expects_at_most(_SHORT):  # samples cannot move far in small steps
        plan.decide("outer_lr", _OUTER_LR_OF_SHORT, "for few iterations")
    plan.decide("outer_lr", _OUTER_LR, "for many iterations")


def has_plenty(real: RealSet, sample_shape: tuple[int, ...], n_steps: int) -> bool:
    """Whether there are many real samples for each value that is learned."""
    n_learned = int(real.counts.sum()) * n_steps * math.prod(sample_shape)
    return len(real.y) >= _PLENTY * n_learned


def _mini_batches(sizes: Any) -> tuple[int, str]:
    """Two mini-batches where the samples, of each class if there are any, can be halved.

    Steps on halves take half of the time, and twice as many of them teach a student more.
    """
    numbers = [*sizes.values()] if isinstance(sizes, Mapping) else [sizes]
    if all(isinstance(n, Integral) and n % 2 == 0 for n in numbers):
        return 2, "the samples can be halved"
    return 1, "all samples in each step"
