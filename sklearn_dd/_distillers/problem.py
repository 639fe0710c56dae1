"""Everything that a fit was given, checked once and in the form that the engine takes."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self

import numpy as np
import torch

from .._data import (
    RealData,
    RealSet,
    Standardize,
    Targets,
    fingerprint,
    hold_out,
    resolve_device,
    student_shape,
)
from .._distilled import STUDENT, Recipe, describe, identity
from .._engine import (
    Adam,
    AnyStudent,
    DistilledSet,
    Method,
    Objective,
    OuterLoop,
    Pool,
    Prior,
    Reducer,
    Several,
    Stream,
    StudentFn,
    TargetKind,
    Weights,
    distinct,
    draw,
    generator,
    has_models,
    hold_out_nets,
    join,
    known_net,
    members,
    priors,
)
from .._student import Spec, StudentSpec, acceleration, function_of, known_nets, prior_of, specify
from .objective import check_objective
from .phases import Phase
from .plan import (
    Settings,
    first_plan,
    has_plenty,
    is_open,
    plan_learning,
    plan_student,
    suits_windows,
)

# Parameters that may change when a fit is resumed.
_FREE = {"verbose", "device", "checkpoint", "checkpoint_every", "max_time", "warm_start"}


@dataclass(frozen=True, eq=False)
class Problem:
    """What is distilled, and for which students.

    Attributes
    ----------
    parameters : Settings
        The parameters of the distiller and, where it left them open, those of its plan.
    real : RealSet
        Checked X and y.
    training, held_out, everything : RealData
        The rows to learn from, those to validate with, and both, standardised batch by batch.
    spec, student : Spec, StudentFn, ModelFn or Several
        How to build the student, and the student as the engine takes it.
    prior : callable
        Where students start; the priors of training and of validation are parts of it.
    phases : list of Phase
        Which methods follow one another.
    recipe : Recipe
        What training a student needs beside the distilled triple.
    objective : callable or None
        The outer objective, where the user named one.
    fixed_parameters : dict
        The parameters that may not change when the fit is resumed, described before the fit: an
        objective may count its calls.
    seed : int
        Decides all draws.
    device : torch.device
        Where the engine computes.
    reducer : Reducer
        The processes that share the work.
    """

    parameters: Any
    real: RealSet
    training: RealData
    held_out: RealData
    everything: RealData
    spec: Spec
    student: AnyStudent
    prior: Prior
    training_prior: Prior
    held_out_prior: Prior
    phases: list[Phase]
    recipe: Recipe
    objective: Objective | None
    fixed_parameters: dict[str, Any]
    seed: int
    device: torch.device
    reducer: Reducer

    @classmethod
    def from_parameters(
        cls, distiller: Any, X: Any, y: Any, sample_weight: Any, seed: int, seconds: float | None
    ) -> Self:
        """Check data and parameters in one order, cheap checks first.

        Parameters
        ----------
        distiller : BaseDistiller
            Has the parameters, and reads X and y (``_read``).
        X, y, sample_weight : array-like
            What ``fit`` was given.
        seed : int
            Decides all draws.
        seconds : float or None
            The time limit to plan for.
        """
        plan = first_plan(distiller, seconds)
        p = Settings(distiller, plan)
        device, reducer = resolve_device(p.device), join()
        seed = reducer.from_main(seed)
        real: RealSet = p._read(X, y, sample_weight, p.n_steps)
        targets = real.targets
        objective = check_objective(p.objective, targets)
        rows = hold_out(real.strata, p.validation_fraction, seed)
        if real.weights is not None:
            first, second = (part[real.weights[part] > 0] for part in rows)
            rows = first, second
        if p.n_iter_no_change is not None and not len(rows[1]):
            raise ValueError(
                f"n_iter_no_change={p.n_iter_no_change} needs samples to validate on, but "
                f"validation_fraction={p.validation_fraction} holds out none of {len(real.y)}. "
                "Raise it, or leave n_iter_no_change=None."
            )
        shape = student_shape(real.input_shape, p.sample_shape)
        is_given = not (callable(p.init) or p.init in ("random", "fixed"))
        plan_student(plan, real, shape, is_given=is_given)
        spec = specify(p.student, shape, targets)
        init = known_nets(p.init)
        prior = prior_of(init, spec, seed)
        student = function_of(spec, device, targets.loss)
        learn_models = has_models(student)
        _check_student(p, spec, learn_models, targets)
        by_windows = suits_windows(plan, spec, student, targets) and not isinstance(prior, Pool)
        if by_windows:  # a skorch net keeps its own optimiser
            spec = specify(p.student, shape, targets, Adam())
            student = function_of(spec, device, targets.loss)
        plan_learning(
            plan, by_windows=by_windows, init=p.init, is_known=known_net(prior) is not None,
            has_plenty=has_plenty(real, shape, p.n_steps), kind=targets.kind,
            takes_steps=spec.takes_steps, has_models=learn_models,
        )  # fmt: skip
        phases = p._phases(p.method, objective, student, targets, shape, device)
        if p.standardize:  # the one check that reads all of X
            units = Standardize.fit(real.X, real.input_shape, shape)
        else:
            units = Standardize(real.input_shape, shape)
        recipe = Recipe(
            targets, units, known_net(prior), p.student, init, _description(p, real, spec, seed),
            spec.optimizer, real.table,
        )  # fmt: skip
        training, held_out, everything = (
            RealData(real.X, real.y, part, units, p.batch_size, device, real.weights)
            for part in (*rows, np.sort(np.concatenate(rows)))
        )
        fraction = p.validation_fraction if len(held_out) else 0.0
        halves = hold_out_nets(prior, fraction, generator(seed, Stream.HELD_OUT))
        return cls(
            p, real, training, held_out, everything, spec, student, prior, *halves, phases, recipe,
            objective, _fixed_parameters(distiller, spec, init), seed, device, reducer,
        )  # fmt: skip

    def weighing(self, losses: torch.Tensor | None) -> Self:
        """The problem in which the loss of each of several students counts as a share of these."""
        if losses is None:
            return self
        assert isinstance(self.student, Several)
        return replace(self, student=replace(self.student, weights=(1 / losses).tolist()))

    @cached_property
    def made_of(self) -> dict[str, Any]:
        """What may not change when the fit is resumed: parameters and data."""
        real = self.real
        data = {"data": fingerprint(real.X, real.y), "weights": describe(real.weights)}
        return self.fixed_parameters | self.real.targets.metadata() | data

    @cached_property
    def varies(self) -> torch.Tensor | None:
        """Which features vary; None where all do."""
        varies = self.recipe.units.varies
        return None if varies is None or varies.all() else varies.to(self.device)

    @property
    def snap(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """What turns samples into the nearest ones that a table can hold; None without a table."""
        return None if self.recipe.table is None else self._snapped

    def _snapped(self, z: torch.Tensor) -> torch.Tensor:
        """The nearest samples that a table can hold, (n_steps, batch, n_features) standardised."""
        table, units = self.recipe.table, self.recipe.units
        assert table is not None
        shift, scale = units.shift.to(z), units.scale.to(z)
        found = table.snap(z.flatten(0, 1) * scale + shift)
        return ((found - shift) / scale).reshape(z.shape)

    @property
    def schedule(self) -> tuple[int, int]:
        """Epochs and mini-batches of the gradient steps; no epochs if no student takes steps."""
        p = self.parameters
        return p.n_epochs if self.spec.takes_steps else 0, p.n_steps

    def outer_loop(
        self,
        distilled: DistilledSet,
        method: Method,
        objective: Objective,
        sample: Callable[[torch.Generator], tuple[torch.Tensor, torch.Tensor]],
        progress: Callable[[int], float],
    ) -> OuterLoop:
        """The loop that improves ``distilled`` in place, until ``progress`` is 1."""
        p, prior = self.parameters, self.training_prior
        if p.random_share and isinstance(prior, Pool):
            assert isinstance(self.spec, StudentSpec)  # several students have no pool
            prior = priors.Mixed(prior, priors.random(self.spec), p.random_share)
        return OuterLoop(
            distilled, method, self.student, prior, sample, objective,
            max_iter=math.inf, lr=p.outer_lr, step_size_lr=p.step_size_rate * p.outer_lr,
            n_inits=len(distinct(prior, p.n_inits)), seed=self.seed,
            progress=progress, reducer=self.reducer, varies=self.varies,
        )  # fmt: skip

    def first_weights(self) -> Weights:
        """Where the distiller's own student starts."""
        params = draw(self.prior, range(1), self.seed, Stream.STUDENT)
        return {name: p[0] for name, p in params.items()}

    def acceleration(self) -> dict[str, Any]:
        """How the student's steps were taken."""
        return acceleration(s for s in members(self.student) if isinstance(s, StudentFn))


def _check_student(p: Settings, spec: Spec, has_models: bool, targets: Targets) -> None:
    """Refuse parameters from which a student cannot learn."""
    if spec.takes_steps and p.n_epochs == 0:
        raise ValueError(f"n_epochs=0 lets {spec.name} learn nothing: it takes gradient steps.")
    if has_models and p.labels == "free" and targets.kind is not TargetKind.CONTINUOUS:
        raise ValueError(
            f"labels='free' are for nets alone, but student is {spec.name}: a model takes classes, "
            "or shares of them. Use 'hard' or 'soft'."
        )


def _description(p: Settings, real: RealSet, spec: Spec, seed: int) -> dict[str, Any]:
    """How the data were made, for whoever finds the file."""
    given = p.distiller.get_params(deep=False)
    parameters = given | {k: v for k, v in p.plan.items() if k in given and not is_open(v)}
    if isinstance(given.get("n_per_class"), str):
        numbers = real.targets.identity(), (real.counts * p.n_steps).tolist()
        parameters["n_per_class"] = dict(zip(*numbers, strict=True))
    packages = ("sklearn-dd", "torch", "scikit-learn", "skorch", "numpy")
    return {
        "distiller": type(p.distiller).__name__,
        "parameters": describe(parameters),
        **dict(zip(STUDENT, identity(spec), strict=True)),
        "seed": seed,
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version()},
    }


def _fixed_parameters(distiller: Any, spec: Spec, init: Any) -> dict[str, Any]:
    """The parameters that may not change when the fit is resumed."""
    parameters = distiller.get_params(deep=False)
    fixed = {name: value for name, value in parameters.items() if name not in _FREE}
    return describe(fixed | {"student": identity(spec), "init": init})
