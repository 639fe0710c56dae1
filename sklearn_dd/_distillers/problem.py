"""Everything that a fit was given, checked once and in the form that the engine takes."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self

import numpy as np
import torch

from .._data import (
    RealData,
    RealSet,
    Standardize,
    fingerprint,
    hold_out,
    resolve_device,
    student_shape,
)
from .._distilled import STUDENT, DistilledData, Recipe, describe, identity
from .._engine import (
    DistilledSet,
    Method,
    Objective,
    OuterLoop,
    Prior,
    Reducer,
    Stream,
    StudentFn,
    TargetKind,
    Weights,
    distinct,
    draw,
    fold,
    generator,
    hold_out_nets,
    inner_steps,
    join,
    known_net,
)
from .._evaluation import SCORES, Training
from .._student import (
    StudentSpec,
    acceleration,
    choose_student,
    known_nets,
    student_fn,
    weight_prior,
)
from .objective import check_objective
from .phases import Phase
from .start import continued_set, starting_set

_HELD_OUT_INITS = 8  # students that an iterate is validated with

# Parameters that may change when a fit is resumed.
_FREE = {"verbose", "device", "checkpoint", "checkpoint_every", "max_time", "warm_start"}


@dataclass(frozen=True, eq=False)
class Problem:
    """What is distilled, and for which students.

    Attributes
    ----------
    parameters : BaseDistiller
        The distiller, read for its parameters only.
    real : RealSet
        Checked X and y.
    training, held_out : RealData
        The rows to learn from and those to validate with, standardised batch by batch.
    spec, student : StudentSpec, StudentFn
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
    spec: StudentSpec
    student: StudentFn
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
    def from_parameters(cls, distiller: Any, X: Any, y: Any, seed: int) -> Self:
        """Check data and parameters in one order, cheap checks first.

        Parameters
        ----------
        distiller : BaseDistiller
            Has the parameters, and reads X and y (``_read``).
        X, y : array-like
            What ``fit`` was given.
        seed : int
            Decides all draws.
        """
        p = distiller
        device, reducer = resolve_device(p.device), join()
        seed = reducer.from_main(seed)
        real: RealSet = p._read(X, y)
        targets = real.targets
        objective = check_objective(p.objective, targets)
        rows = hold_out(real.strata, p.validation_fraction, seed)
        if p.n_iter_no_change is not None and not len(rows[1]):
            raise ValueError(
                f"n_iter_no_change={p.n_iter_no_change} needs samples to validate on, but "
                f"validation_fraction={p.validation_fraction} holds out none of {len(real.y)}. "
                "Raise it, or leave n_iter_no_change=None."
            )
        shape = student_shape(real.input_shape, p.sample_shape)
        spec = choose_student(p.student, shape, targets)
        init = known_nets(p.init)
        prior = weight_prior(init, spec, seed)
        student = student_fn(spec, device, targets.loss)
        phases = p._phases(objective, student, targets, shape, device)
        if p.standardize:  # the one check that reads all of X
            units = Standardize.fit(real.X, real.input_shape, shape)
        else:
            units = Standardize(real.input_shape, shape)
        recipe = Recipe(
            targets, units, known_net(prior), p.student, init, _description(p, spec, seed),
            spec.optimizer,
        )  # fmt: skip
        training, held_out = (
            RealData(real.X, real.y, part, units, p.batch_size, device) for part in rows
        )
        fraction = p.validation_fraction if len(held_out) else 0.0
        priors = hold_out_nets(prior, fraction, generator(seed, Stream.HELD_OUT))
        return cls(
            p, real, training, held_out, spec, student, prior, *priors, phases, recipe, objective,
            _fixed_parameters(p, spec, init), seed, device, reducer,
        )  # fmt: skip

    @cached_property
    def made_of(self) -> dict[str, Any]:
        """What may not change when the fit is resumed: parameters and data."""
        data = {"data": fingerprint(self.real.X, self.real.y)}
        return self.fixed_parameters | self.real.targets.metadata() | data

    def start(self, previous: DistilledData | None) -> DistilledSet:
        """The distilled set before the first outer iteration."""
        p, real = self.parameters, self.real
        if previous is not None:
            parametrisation = real.targets.parametrisations[p.labels]
            batch, schedule = int(real.counts.sum()), (p.n_epochs, p.n_steps)
            start = continued_set(previous, self.recipe, batch, schedule, parametrisation)
        else:
            start = starting_set(
                real, self.training.rows, self.recipe.units,
                np.random.default_rng(fold(self.seed, Stream.START)),
                data_init=p.data_init, schedule=(p.n_epochs, p.n_steps), lr=p.distill_lr,
                labels=p.labels,
            )  # fmt: skip
        return start.to(self.device)

    def outer_loop(
        self,
        distilled: DistilledSet,
        method: Method,
        objective: Objective,
        max_iter: int,
        progress: Callable[[int], float] | None,
    ) -> OuterLoop:
        """The loop that improves ``distilled`` in place."""
        p = self.parameters
        return OuterLoop(
            distilled, method, self.student, self.training_prior, self.training.sample, objective,
            max_iter=max_iter, lr=p.outer_lr, step_size_lr=p.step_size_rate * p.outer_lr,
            n_inits=len(distinct(self.training_prior, p.n_inits)), seed=self.seed,
            progress=progress, reducer=self.reducer,
        )  # fmt: skip

    def validator(self, distilled: DistilledSet) -> Callable[[], float] | None:
        """What scores ``distilled`` on held-out samples with held-out students; None without."""
        if not len(self.held_out):
            return None
        indices = distinct(self.held_out_prior, _HELD_OUT_INITS)
        params = draw(self.held_out_prior, indices, self.seed, Stream.HELD_OUT, device=self.device)
        targets = self.real.targets

        def validate() -> float:
            steps = inner_steps(distilled.x, distilled.y, distilled.lrs)
            training = Training(self.student, params, steps)
            # The share of samples with all labels right would be flat for long.
            if self.objective is None and targets.kind is not TargetKind.MULTILABEL:
                return float(training.scores(self.held_out, SCORES[targets.kind]).mean())
            return training.negative_objective(self.held_out, self.objective or targets.objective)

        return validate

    def first_weights(self) -> Weights:
        """Where the distiller's own student starts."""
        params = draw(self.prior, range(1), self.seed, Stream.STUDENT)
        return {name: p[0] for name, p in params.items()}

    def acceleration(self) -> dict[str, Any]:
        """How the student's steps were taken."""
        return acceleration(self.student)


def _description(distiller: Any, spec: StudentSpec, seed: int) -> dict[str, Any]:
    """How the data were made, for whoever finds the file."""
    packages = ("sklearn-dd", "torch", "scikit-learn", "skorch", "numpy")
    return {
        "distiller": type(distiller).__name__,
        "parameters": describe(distiller.get_params(deep=False)),
        **dict(zip(STUDENT, identity(spec), strict=True)),
        "seed": seed,
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version()},
    }


def _fixed_parameters(distiller: Any, spec: StudentSpec, init: Any) -> dict[str, Any]:
    """The parameters that may not change when the fit is resumed."""
    parameters = distiller.get_params(deep=False)
    fixed = {name: value for name, value in parameters.items() if name not in _FREE}
    return describe(fixed | {"student": identity(spec), "init": init})
