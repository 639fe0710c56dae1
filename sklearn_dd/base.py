"""What all distillers have in common: a ``fit`` that reads like the algorithm, and its result."""

from __future__ import annotations

import importlib
import os
import platform
import warnings
from collections.abc import Callable
from importlib.metadata import version
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import sklearn
import torch
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _clone_parametrized,
    _fit_context,
)
from sklearn.utils import check_random_state, check_scalar, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .callbacks import Monitor, Progress
from .data import (
    Array,
    RealData,
    Standardize,
    as_tensor,
    fingerprint,
    resolve_device,
    student_shape,
)
from .distilled import STUDENT, DistilledData, Recipe, describe, identity
from .engine.distilled_set import DistilledSet, Link
from .engine.hypergradient import Estimator
from .engine.inner_loop import schedule
from .engine.objectives import Objective
from .engine.outer_loop import OuterLoop
from .engine.priors import distinct, draw, hold_out_nets, known_net
from .engine.reducer import join
from .engine.seeds import Stream, fold, generator
from .evaluation import Evaluation, evaluate, train_and_judge, train_and_score
from .files import PathLike, check_folder
from .memory import kept_memory
from .methods import AUGMENTATIONS, phases
from .run import Run, Saved
from .start import continued_set, new_set
from .student import Network, choose_network, known_nets, weight_prior
from .targets import Classes, Labels, Targets
from .validation import all_or_nothing, hold_out, new_samples, with_gradients

_HELD_OUT_INITS = 8  # nets that an iterate is validated with
_BATCH = 512  # samples that are predicted at one time

SHARED: dict[str, Any] = {  # what the parameters of every distiller may be
    "n_steps": [Interval(Integral, 1, None, closed="left")],
    "n_epochs": [Interval(Integral, 1, None, closed="left")],
    "student": "no_validation",  # choose_network does
    "init": "no_validation",  # weight_prior does
    "data_init": [StrOptions({"noise", "real", "kmeans", "mean"}), "array-like"],
    "augment": [None, StrOptions(set(AUGMENTATIONS)), callable],
    "distill_lr": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_time": [None, Interval(Real, 0, None, closed="neither")],
    "outer_lr": [Interval(Real, 0, None, closed="neither")],
    "step_size_rate": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "n_inits": [Interval(Integral, 1, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "n_iter_no_change": [None, Interval(Integral, 1, None, closed="left")],
    "sample_shape": [None, tuple, list],
    "standardize": ["boolean"],
    "device": [str, torch.device],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "checkpoint": [None, str, os.PathLike],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
}


class RealSet(NamedTuple):
    """What ``fit`` was given, in one form."""

    X: Array  # (n, n_features)
    y: Array  # (n,) class indices, (n, n_labels) 1 and 0, or (n, 1) standardised numbers
    strata: Array  # (n,), classes of which equal shares are held out
    input_shape: tuple[int, ...]
    targets: Targets
    batch: int  # synthetic samples of one mini-batch


class BaseDistiller(
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # scikit-learn cannot wrap a triple
):
    """What distillers of classes and of numbers have in common."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass that redefines transform would be wrapped again.
        super().__init_subclass__(**{"auto_wrap_output_keys": None, **kwargs})

    @_fit_context(prefer_skip_nested_validation=False)
    @all_or_nothing
    def fit(self, X: Any, y: Any, *, resume_from: PathLike | None = None) -> Self:
        """Learn synthetic samples, their labels and step sizes.

        Ctrl-C ends the fit early and keeps the best iterate so far.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples: a table, flat images, or images of shape (n_samples, height, width),
            (n_samples, channels, height, width) or (n_samples, height, width, channels). NumPy
            arrays, memory maps, DataFrames and torch tensors; not copied as a whole, nor converted.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.
        resume_from : path-like, default=None
            A checkpoint of a fit of the same data with the same parameters, which then goes on as
            if it had not been ended.

        Returns
        -------
        BaseDistiller
            The fitted distiller.
        """
        warm = self.warm_start and hasattr(self, "X_syn_")
        previous = self._distilled_data() if warm else None
        device = resolve_device(self.device)
        given = self._read(X, y)
        X, y, strata, input_shape, targets, batch = given
        seed = int(check_random_state(self.random_state).randint(2**31))
        if previous is not None:
            seed = self.seed_  # so that a fixed net and the held-out part stay the same
        saved = Saved() if resume_from is None else Saved.read(resume_from)
        if self.checkpoint is not None:
            check_folder(self.checkpoint)
        reducer = join()
        seed = reducer.from_main(saved.facts.get("seed", seed))

        sample_shape = student_shape(input_shape, self.sample_shape)
        standardize = Standardize(input_shape, sample_shape)
        if self.standardize:
            standardize = Standardize.fit(X, input_shape, sample_shape)
        network = choose_network(self.student, sample_shape, targets.n_outputs)
        init = known_nets(self.init)
        prior = weight_prior(init, network, seed)
        description = self._description(network, seed)
        parameters = self._fixed_parameters(network, init, given)
        saved.check(parameters)
        recipe = Recipe(
            targets, standardize, known_net(prior), self.student, init, description,
            network.optimizer,
        )  # fmt: skip
        pupil = recipe.learner(network, device)

        real, held_out = (
            RealData(X, y, rows, standardize, self.batch_size, device)
            for rows in hold_out(strata, self.validation_fraction, seed)
        )
        link = self._link(targets)
        if previous is not None:
            start = continued_set(previous, recipe, batch, (self.n_epochs, self.n_steps), link)
        else:
            rng = np.random.default_rng(fold(seed, Stream.START))
            pairs = self._start(given, real.rows, standardize, rng)
            start = new_set(*pairs, self.n_epochs, self.distill_lr, link)
        distilled = start.to(device)
        fraction = self.validation_fraction if len(held_out) else 0.0
        learned_from, judges = hold_out_nets(prior, fraction, generator(seed, Stream.HELD_OUT))
        which = distinct(judges, _HELD_OUT_INITS)
        nets = draw(judges, which, seed, Stream.HELD_OUT, device=device)

        objective = self._objective(targets)

        def validate() -> float:
            steps = schedule(distilled.x, distilled.y, distilled.lrs)
            # Of many labels hardly ever all are right: their share would be flat for long.
            if objective is targets.objective and not isinstance(targets, Labels):
                scores = train_and_score(pupil, nets, steps, held_out, targets.score)
                return float(scores.mean())
            return train_and_judge(pupil, nets, steps, held_out, objective)

        if self.n_iter_no_change is not None and not len(held_out):
            raise ValueError(
                f"n_iter_no_change={self.n_iter_no_change} needs samples to validate on, but "
                f"validation_fraction={self.validation_fraction} holds out none of {len(y)}. Raise "
                "it, or leave n_iter_no_change=None."
            )

        def outer_loop(
            estimator: Estimator, max_iter: int, progress: Callable[[int], float] | None
        ) -> OuterLoop:
            return OuterLoop(
                distilled,
                estimator,
                pupil,
                learned_from,
                real.sample,
                objective,
                max_iter=max_iter,
                lr=self.outer_lr,
                step_size_lr=self.step_size_rate * self.outer_lr,
                n_inits=len(distinct(learned_from, self.n_inits)),
                seed=seed,
                progress=progress,
                reducer=reducer,
            )

        monitor = Monitor(
            distilled, validate if len(held_out) else None, self.max_iter, self.n_iter_no_change
        )
        run = Run(
            phases(self.method, self.objective, self.augment, pupil, sample_shape, device),
            outer_loop,
            monitor,
            max_iter=self.max_iter,
            max_time=self.max_time,
            checkpoint=self.checkpoint,
            every=self.checkpoint_every,
            facts={"parameters": parameters, "seed": seed},
            saved=saved,
        )
        verbose = self.verbose if reducer.is_main() else 0
        _go(run, monitor, Progress(verbose, self.max_iter, monitor.done))
        distilled.restore(monitor.best)

        self.recipe_ = recipe
        self.seed_: int = seed
        self.sample_shape_ = sample_shape
        self._keep(targets)
        self.X_syn_, self.y_syn_, self.lrs_ = _to_numpy(distilled, recipe)
        self.history_, self.n_iter_ = monitor.history, len(monitor.history["loss"])
        weights = draw(prior, range(1), seed, Stream.STUDENT)
        self.student_ = self._distilled_data().train_from(
            network, {name: p[0] for name, p in weights.items()}, device
        )
        return self

    def _fixed_parameters(self, network: Network, init: Any, real: RealSet) -> dict[str, Any]:
        """What may not change when a fit is resumed."""
        free = {"verbose", "device", "checkpoint", "checkpoint_every", "max_time", "warm_start"}
        given = {k: v for k, v in self.get_params(deep=False).items() if k not in free}
        fixed = describe(given | {"student": identity(network), "init": init})
        return fixed | real.targets.facts() | {"data": fingerprint(real.X, real.y)}

    def _description(self, network: Network, seed: int) -> dict[str, Any]:
        """How the data were made, for whoever finds the file."""
        packages = ("sklearn-dd", "torch", "scikit-learn", "skorch", "numpy")
        return {
            "parameters": describe(self.get_params(deep=False)),
            **dict(zip(STUDENT, identity(network), strict=True)),
            "seed": seed,
            "versions": {name: version(name) for name in packages}
            | {"python": platform.python_version()},
        }

    def _objective(self, targets: Targets) -> Objective:
        """What trained students should do."""
        if isinstance(self.objective, str):
            return targets.objective
        if isinstance(self.objective, type):
            raise ValueError(
                f"objective={self.objective!r} must be an object, not its class: write "
                f"{self.objective.__name__}(...)."
            )
        # Such as an attack, which names classes as the user does.
        resolve = getattr(self.objective, "resolve", None)
        if resolve is None:
            return _checked(self.objective)
        if not isinstance(targets, Classes):
            raise ValueError(
                f"objective={self.objective!r} takes one class a sample, but y holds "
                f"{'several labels' if isinstance(targets, Labels) else 'numbers'}. Take a "
                "function of logits and y, or leave objective as it is by default."
            )
        return resolve(targets.values)

    # What each kind says of its own.

    def _read(self, X: Any, y: Any) -> RealSet:
        """Check what ``fit`` was given, and bring it into one form."""
        raise NotImplementedError

    def _encode(self, y: Any, n_samples: int) -> Array:
        """Check the y of as many new samples, and bring it into the form of `RealSet`."""
        raise NotImplementedError

    def _start(
        self, given: RealSet, rows: Array, standardize: Standardize, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples (n_steps, batch, *sample_shape) and labels (n_steps, batch, n_outputs).

        They are made of ``rows``, the samples that are not held out.
        """
        raise NotImplementedError

    def _link(self, targets: Targets) -> Link | None:
        """How labels are learned; None holds them still."""
        raise NotImplementedError

    def _keep(self, targets: Targets) -> None:
        """Take note of what y was in a fit that came to its end."""

    # The result.

    def _distilled_data(self) -> DistilledData:
        check_is_fitted(self)
        return DistilledData(self.X_syn_.copy(), self.y_syn_.copy(), self.lrs_.copy(), self.recipe_)

    def transform(self, X: Any = None) -> DistilledData:
        """Return the distilled data.

        Parameters
        ----------
        X : array-like, default=None
            Checked where it is given, as a pipeline does, and not used otherwise.

        Returns
        -------
        DistilledData
            ``(X_syn, y_syn, lrs)``; copies. With ``set_output`` and flat samples, ``X_syn`` is a
            DataFrame.
        """
        data = self._distilled_data()
        if X is not None:
            new_samples(self, X)
        config = getattr(self, "_sklearn_output_config", {})
        container = config.get("transform", sklearn.get_config()["transform_output"])
        if container == "default" or data.X.ndim != 2:
            return data
        library = importlib.import_module(container)
        names = list(self.get_feature_names_out())
        frame = library.DataFrame(data.X, **{_COLUMNS[container]: names})
        return DistilledData(frame, data.y, data.lrs, data.recipe)

    def fit_transform(self, X: Any, y: Any) -> DistilledData:
        """Distil, and return the distilled data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.

        Returns
        -------
        DistilledData
            ``(X_syn, y_syn, lrs)``.
        """
        return self.fit(X, y).transform()

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of flat synthetic samples.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            ``None`` leaves it as it is.

        Returns
        -------
        BaseDistiller
            The distiller itself.
        """
        if transform is None:
            return self
        if transform not in ("default", *_COLUMNS):
            raise ValueError(
                f"transform must be 'default', 'pandas', 'polars' or None, got {transform!r}."
            )
        self._sklearn_output_config = {"transform": transform}
        return self

    @torch.no_grad()
    def _outputs(self, X: Any) -> torch.Tensor:
        """What the student that was trained on the distilled data alone says of samples."""
        check_is_fitted(self)
        X = new_samples(self, X)
        # Not by skorch's predict, whose DataLoader moves torch's global generator.
        batches = (as_tensor(X[rows]) for rows in gen_batches(len(X), _BATCH))
        return torch.cat([self.student_.infer(x).cpu() for x in batches])

    @with_gradients
    def evaluate(
        self,
        X: Any,
        y: Any,
        *,
        n_inits: int = 20,
        student: Any = None,
        init: Any = None,
        n_epochs: int | None = None,
        each_step: bool = True,
        random_state: Any = None,
    ) -> Evaluation:
        """Train fresh students on the distilled data alone and score them on real samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples that no fit has seen.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their classes, labels or numbers.
        n_inits : int, default=20
            Students. Of a pool of known nets each is taken once at most, of one net that one.
        student : None, nn.Module class or NeuralNetClassifier, default=None
            Another architecture; ``None`` takes the one that the data were distilled for. A class
            is trained by the optimiser that they were distilled for, a skorch net by its own.
        init : None, {"random", "fixed"}, callable, list, dict or path-like, default=None
            Another weight prior. ``None`` takes the distiller's own, and ``"random"`` for another
            architecture unless that is a callable. Of a pool these are nets that the data were
            distilled for: to know what other nets learn, give nets that were held out.
        n_epochs : int or None, default=None
            Another number of distilled epochs. Beyond the learned ones, the step sizes of the last
            are repeated.
        each_step : bool, default=True
            Score students after each step, not at the end alone: with many steps and samples that
            takes longer than to train them.
        random_state : int, RandomState instance or None, default=None
            Decides the initial weights; ``None`` takes a stream of the fit's own seed that the fit
            never drew from.

        Returns
        -------
        Evaluation
            ``mean``, ``std``, ``scores`` (n_inits,) and ``step_scores`` (T + 1, n_inits): the
            accuracy, in a regression R², before the first step and after each; with
            ``each_step=False``, (1, n_inits).
        """
        data = self._distilled_data()
        X = new_samples(self, X)
        y = self._encode(y, len(X))
        check_scalar(n_inits, "n_inits", Integral, min_val=1)
        device = resolve_device(self.device)
        network, recipe = self.recipe_.network(student), self.recipe_
        seed = self.seed_
        if random_state is not None:
            seed = int(check_random_state(random_state).randint(2**31))
        if init is None:
            prior = recipe.prior(network, seed)
        else:
            prior = weight_prior(init, network, self.seed_)
        nets = draw(prior, distinct(prior, n_inits), seed, Stream.EVALUATE, device=device)
        real = RealData(X, y, np.arange(len(X)), recipe.standardize, self.batch_size, device)
        x, y_syn, lrs = (tensor.to(device) for tensor in data.as_tensors())
        if n_epochs is not None:
            check_scalar(n_epochs, "n_epochs", Integral, min_val=1)
            lrs = lrs[torch.arange(n_epochs).clamp(max=len(lrs) - 1)]
        steps = schedule(x, y_syn, lrs)
        pupil = recipe.learner(network, device)
        return evaluate(pupil, nets, steps, real, each_step, recipe.targets.score)

    def __sklearn_clone__(self) -> Self:
        new = _clone_parametrized(self)
        new.init = self.init  # a clone of a fitted net would not be fitted
        return new

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


_COLUMNS = {"pandas": "columns", "polars": "schema"}  # how each names the columns of a DataFrame


def _checked(objective: Objective) -> Objective:
    """An objective that says so where it returns what cannot be descended."""

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value = objective(outputs, y)
        scalar = isinstance(value, torch.Tensor) and value.ndim == 0
        if not scalar or value.requires_grad < outputs.requires_grad:
            shape = getattr(value, "shape", ())
            given = f"one of shape {tuple(shape)}" if len(shape) else repr(value)
            raise ValueError(
                f"objective={objective!r} must return a scalar tensor that has a gradient, got "
                f"{given}. Take a mean of something smooth, such as a cross-entropy."
            )
        return value

    return loss


def _go(run: Run, monitor: Monitor, progress: Progress) -> None:
    """Go through a run to its end, to no more progress, or to Ctrl-C."""
    try:
        with kept_memory(), progress as report:
            # A checkpoint may be of the iteration that ended its fit.
            for iteration, score in () if monitor.stale else run:
                report(iteration, score, run.expected())
                if monitor.stale:
                    break
    except KeyboardInterrupt:
        warnings.warn("Interrupted: the best iterate so far is kept.", stacklevel=5)
    if monitor.sick:
        warnings.warn(
            "The last outer iterations were not finite and were undone; the fit keeps its best "
            "iterate. Lower distill_lr or outer_lr, or take fewer steps.",
            RuntimeWarning,
            stacklevel=5,
        )


def _to_numpy(distilled: DistilledSet, recipe: Recipe) -> tuple[Array, Array, Array]:
    """X, y and step sizes as the user knows them."""
    x, y, lrs = (t.detach().cpu() for t in (distilled.x, distilled.y, distilled.lrs))
    X = recipe.standardize.inverse(x.flatten(0, 1)).numpy()
    return X, recipe.targets.decode(y.flatten(0, 1), distilled.learn_labels), lrs.numpy()
