"""The estimator: parameters, validation, and a ``fit`` that reads like the algorithm."""

from __future__ import annotations

import importlib
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import sklearn
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state, check_scalar, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .callbacks import Monitor, Progress
from .data import Array, RealData, Standardize, as_tensor, resolve_device, student_shape
from .distilled import DistilledData, Recipe, describe
from .engine.distilled_set import DistilledSet
from .engine.hypergradient import Estimator
from .engine.inner_loop import schedule
from .engine.objectives import Objective, classification
from .engine.outer_loop import OuterLoop
from .engine.priors import distinct, draw, known_net
from .engine.reducer import join
from .engine.seeds import Stream, fold
from .evaluation import Evaluation, evaluate, train_and_judge, train_and_score
from .files import PathLike
from .methods import AUGMENTATIONS, METHODS, phases
from .run import Run, Saved
from .start import continued_set, new_set, starting_samples
from .student import Network, choose_network, known_nets, learner, weight_prior
from .validation import class_indices, hold_out, new_samples, samples_per_step, training_set

_HELD_OUT_INITS = 8  # nets that an iterate is validated with
_BATCH = 512  # samples that are predicted at one time


class DatasetDistiller(
    ClassifierMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # scikit-learn cannot wrap a triple
):
    """Distil a data set into a few synthetic samples and the step sizes to train with.

    The samples, their step sizes and, if wanted, their labels are learned so that a student that
    takes ``n_epochs * n_steps`` gradient steps on them alone does well on the real set. The
    gradient goes back through all of the student's training and is exact.

    It is a transformer, whose ``transform`` returns the distilled data, and a classifier, which
    predicts with a student trained on them alone.

    Parameters
    ----------
    n_per_class : int or dict, default=1
        Synthetic samples of each class; a dict gives each class its own number.
    n_steps : int, default=1
        Mini-batches that the synthetic samples are cut into, one for each gradient step of an
        epoch. It must divide ``n_per_class``.
    n_epochs : int, default=10
        Times that a student goes through the mini-batches. Each of the ``n_epochs * n_steps``
        gradient steps has a learned step size of its own.
    student : None, nn.Module class or NeuralNetClassifier, default=None
        The network that learns from the distilled data. ``None`` takes an ``MLP`` for flat samples,
        a ``LeNet`` for images of 28 × 28 or 32 × 32 pixels and a ``ConvNet`` for others. A class is
        built with ``sample_shape`` and ``n_classes`` if its constructor names them; it returns
        logits. Of an unfitted skorch net the module, its optimiser (SGD, with momentum or without,
        or Adam) and their parameters are used, which makes ``student__module__width`` a parameter
        to search.
    init : {"random", "fixed"}, callable, list, dict or path-like, default="random"
        The weights that students start from. ``"random"``: what the module's constructor draws,
        anew for each student. ``"fixed"``: one such draw, known and kept; far fewer samples and
        steps do, but for this one net alone. A callable changes a module in place, such as
        ``sklearn_dd.engine.priors.xavier_normal``. A list holds pre-trained nets, as state dicts or
        fitted skorch nets, of which students draw one; they see standardised samples. A
        ``pathlib.Path`` is a folder of such nets, as ``train_pool`` writes it, and a state dict one
        known net.
    objective : "classification" or callable, default="classification"
        What a trained student should do: cross-entropy on real samples, or a function
        ``(logits, y) -> scalar`` of a real batch, with ``y`` as indices into ``classes_``.
    method : {"unrolled", "auto", "distribution", "gradient"}, callable or list of callables, \
            default="unrolled"
        How the gradient is computed. ``"unrolled"``: exactly, back through all steps. ``"auto"``
        spends the first half of the fit on ridge regressions in closed form, ``"distribution"`` and
        ``"gradient"`` on matching features or gradients; step sizes are then learned, and samples
        improved, by unrolling. Or an object such as
        ``sklearn_dd.engine.hypergradient.Unrolled(window=40)``, or a list of them, which follow one
        another and have equal shares of the fit.
    labels : {"hard", "soft"}, default="hard"
        Whether the labels stay class labels or are learned as class probabilities.
    data_init : {"noise", "real", "kmeans", "mean"} or array-like, default="real"
        Where the synthetic samples start: standard normal noise, random real samples, cluster
        centres or class means, or an array in the units of X, ordered by step.
    augment : None, {"flip", "shift", "dsa"} or callable, default=None
        A random transformation of each outer iteration, of real and synthetic images alike. A
        callable takes images (n, channels, height, width) and a ``torch.Generator``, and treats all
        images alike; see ``sklearn_dd.engine.augmentation``.
    distill_lr : float, default=0.3
        Where the learned step sizes start.
    max_iter : int, default=1000
        Outer iterations.
    max_time : float or None, default=None
        Seconds for the outer loop. It ends after so many, or after ``max_iter`` iterations; the
        outer step sizes fall to 0 by then.
    outer_lr : float, default=0.05
        Step size of Adam in the outer loop, in standard deviations of X; it falls to 0 along a
        cosine.
    step_size_rate : float, default=0.2
        Rate at which the step sizes move, as a share of ``outer_lr``: as fast as the samples, they
        may creep up until training diverges; 0 holds them still.
    batch_size : int, default=256
        Real samples of each outer iteration; all of them, where there are fewer.
    n_inits : int, default=4
        Students that are trained in each outer iteration, from weights of their own. One known net
        needs one only.
    validation_fraction : float, default=0.1
        Share of each class that is held out of X, 2,000 samples at most. The iterate that does best
        on it is kept. With 0, or where no class has enough samples, the last one is.
    n_iter_no_change : int or None, default=None
        Stop when so many iterations have brought no better iterate. ``None`` goes on to the end.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), where X comes flat.
    standardize : bool, default=True
        Learn in units of mean 0 and deviation 1, of each feature or, for images, each channel. A
        deviation counts as no less than a tenth of the range.
        What is returned is in the units of X all the same.
    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` takes CUDA, else MPS, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. A fit on the CPU is then reproducible to the bit.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 also a line for each validation.
    warm_start : bool, default=False
        Start from the result of the last fit.
    checkpoint : path-like or None, default=None
        A file that holds, at any time, what ``fit(X, y, resume_from=...)`` needs to go on.
    checkpoint_every : int, default=100
        Outer iterations from one checkpoint to the next.

    Attributes
    ----------
    X_syn_ : ndarray of shape (n, n_features) or (n, ...)
        Synthetic samples in the units and the layout of X, ordered by step, class within step.
    y_syn_ : ndarray of shape (n,) or (n, n_classes)
        Their class labels; class probabilities with ``labels="soft"``.
    lrs_ : ndarray of shape (n_epochs, n_steps)
        The step size of each gradient step.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Values of one sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had string names.
    sample_shape_ : tuple of int
        Shape of one sample as the student sees it.
    n_iter_ : int
        Outer iterations that were run.
    history_ : dict of lists
        ``"loss"`` and ``"gradient_norm"`` of each iteration; ``"validation_iter"`` and
        ``"validation_score"``, the number of iterations done and the accuracy at each validation;
        for another objective, minus its mean.
    student_ : NeuralNetClassifier
        A skorch net that was trained on the distilled data alone; it takes samples in the units of
        X and predicts indices into ``classes_``.
    recipe_ : Recipe
        What training a student needs beside the triple.
    seed_ : int
        The seed that ``random_state`` gave.

    See Also
    --------
    DistilledData : What ``transform`` returns.
    save_distilled : Writes the distilled data to a file.

    Notes
    -----
    Students run in evaluation mode, in the engine as in ``student_``: dropout is off. A module
    whose buffers training changes, as BatchNorm's running statistics, is refused.

    An outer iteration that is not finite is undone and the rates are halved; after five in a row
    the fit warns, ends and keeps its best iterate.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_digits(return_X_y=True)
    >>> distiller = DatasetDistiller(n_per_class=1, max_iter=50, random_state=0).fit(X, y)
    >>> X_syn, y_syn, lrs = distiller.transform()
    >>> X_syn.shape, y_syn, lrs.shape
    ((10, 64), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (10, 1))
    >>> distiller.score(X, y) > 0.7
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_per_class": [Interval(Integral, 1, None, closed="left"), Mapping],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "student": "no_validation",  # choose_network does
        "init": [StrOptions({"random", "fixed"}), list, tuple, Mapping, os.PathLike, callable],
        "objective": [StrOptions({"classification"}), callable],
        "method": [StrOptions(set(METHODS)), list, tuple, callable],
        "labels": [StrOptions({"hard", "soft"})],
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass that redefines transform would be wrapped again.
        super().__init_subclass__(**{"auto_wrap_output_keys": None, **kwargs})

    def __init__(
        self,
        n_per_class: int | Mapping[Any, int] = 1,
        *,
        n_steps: int = 1,
        n_epochs: int = 10,
        student: Any = None,
        init: Any = "random",
        objective: Any = "classification",
        method: Any = "unrolled",
        labels: str = "hard",
        data_init: Any = "real",
        augment: Any = None,
        distill_lr: float = 0.3,
        max_iter: int = 1000,
        max_time: float | None = None,
        outer_lr: float = 0.05,
        step_size_rate: float = 0.2,
        batch_size: int = 256,
        n_inits: int = 4,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        sample_shape: tuple[int, ...] | None = None,
        standardize: bool = True,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: int = 100,
    ) -> None:
        self.n_per_class = n_per_class
        self.n_steps = n_steps
        self.n_epochs = n_epochs
        self.student = student
        self.init = init
        self.objective = objective
        self.method = method
        self.labels = labels
        self.data_init = data_init
        self.augment = augment
        self.distill_lr = distill_lr
        self.max_iter = max_iter
        self.max_time = max_time
        self.outer_lr = outer_lr
        self.step_size_rate = step_size_rate
        self.batch_size = batch_size
        self.n_inits = n_inits
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.sample_shape = sample_shape
        self.standardize = standardize
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, *, resume_from: PathLike | None = None) -> DatasetDistiller:
        """Learn synthetic samples, their labels and step sizes.

        Ctrl-C ends the fit early and keeps the best iterate so far.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples: a table, flat images, or images of shape (n_samples, height, width),
            (n_samples, channels, height, width) or (n_samples, height, width, channels). NumPy
            arrays, memory maps, DataFrames and torch tensors; not copied as a whole, nor converted.
        y : array-like of shape (n_samples,)
            Class labels.
        resume_from : path-like, default=None
            A checkpoint of a fit of the same data with the same parameters, which then goes on as
            if it had not been ended.

        Returns
        -------
        DatasetDistiller
            The fitted distiller.
        """
        warm = self.warm_start and hasattr(self, "X_syn_")
        previous = self._distilled_data() if warm else None
        device = resolve_device(self.device)
        X, y, classes, input_shape = training_set(self, X, y)
        counts = samples_per_step(self.n_per_class, self.n_steps, classes)
        seed = int(check_random_state(self.random_state).randint(2**31))
        if previous is not None:
            seed = self.seed_  # so that a fixed net and the held-out part stay the same
        parameters = self._fixed_parameters(X.shape)
        saved = Saved() if resume_from is None else Saved.read(resume_from, parameters)
        reducer = join()
        seed = reducer.from_main(saved.facts.get("seed", seed))

        sample_shape = student_shape(input_shape, self.sample_shape)
        standardize = Standardize(input_shape, sample_shape)
        if self.standardize:
            standardize = Standardize.fit(X, input_shape, sample_shape)
        network = choose_network(self.student, sample_shape, len(classes))
        init = known_nets(self.init)
        prior = weight_prior(init, network, seed)
        description = self._description(network, seed)
        recipe = Recipe(classes, standardize, known_net(prior), self.student, init, description)
        pupil = learner(network, device)

        real, held_out = (
            RealData(X, y, rows, standardize, self.batch_size, device)
            for rows in hold_out(y, self.validation_fraction, seed)
        )
        distilled = self._start(X, y, real.rows, counts, recipe, previous, seed).to(device)
        judges = distinct(prior, _HELD_OUT_INITS)
        nets = draw(prior, judges, seed, Stream.HELD_OUT, device=device)

        objective = self._objective(classes)

        def validate() -> float:
            steps = schedule(distilled.x, distilled.y, distilled.lrs)
            if objective is classification:
                return float(train_and_score(pupil, nets, steps, held_out).mean())
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
                prior,
                real.sample,
                objective,
                max_iter=max_iter,
                lr=self.outer_lr,
                step_size_lr=self.step_size_rate * self.outer_lr,
                n_inits=len(distinct(prior, self.n_inits)),
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
        self.classes_, self.sample_shape_ = classes, sample_shape
        self.X_syn_, self.y_syn_, self.lrs_ = _to_numpy(distilled, recipe)
        self.history_, self.n_iter_ = monitor.history, len(monitor.history["loss"])
        weights = draw(prior, range(1), seed, Stream.STUDENT)
        self.student_ = self._distilled_data().train_from(
            network, {name: p[0] for name, p in weights.items()}, device
        )
        return self

    def _objective(self, classes: Array) -> Objective:
        """What trained students should do, for labels as indices."""
        if isinstance(self.objective, str):
            return classification
        # Such as an attack, which names classes as the user does.
        resolve = getattr(self.objective, "resolve", None)
        return self.objective if resolve is None else resolve(classes)

    def _fixed_parameters(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """What may not change when a fit is resumed."""
        free = {"verbose", "device", "checkpoint", "checkpoint_every", "max_time", "warm_start"}
        given = {k: v for k, v in self.get_params(deep=False).items() if k not in free}
        return describe(given) | {"X.shape": list(shape)}

    def _start(
        self,
        X: Array,
        y: Array,
        rows: Array,
        counts: Array,
        recipe: Recipe,
        previous: DistilledData | None,
        seed: int,
    ) -> DistilledSet:
        """The set before the first iteration."""
        soft = self.labels == "soft"
        if previous is not None:
            lrs_shape = self.n_epochs, self.n_steps
            return continued_set(previous, self.classes_, recipe, counts, lrs_shape, soft)
        rng = np.random.default_rng(fold(seed, Stream.START))
        x = starting_samples(
            self.data_init, X, y, rows, counts, self.n_steps, recipe.standardize, rng
        )
        return new_set(x, counts, self.n_epochs, self.distill_lr, soft)

    def _description(self, network: Network, seed: int) -> dict[str, Any]:
        """How the data were made, for whoever finds the file."""
        packages = ("sklearn-dd", "torch", "scikit-learn", "skorch", "numpy")
        return {
            "parameters": describe(self.get_params(deep=False)),
            "student": network.name,
            "student_arguments": describe(network.arguments),
            "student_optimizer": repr(network.optimizer),
            "seed": seed,
            "versions": {name: version(name) for name in packages}
            | {"python": platform.python_version()},
        }

    # ------------------------------------------------------------------------------ the result

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
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        DistilledData
            ``(X_syn, y_syn, lrs)``.
        """
        return self.fit(X, y).transform()

    def set_output(self, *, transform: str | None = None) -> DatasetDistiller:
        """Choose the container of flat synthetic samples.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            ``None`` leaves it as it is.

        Returns
        -------
        DatasetDistiller
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

    # ---------------------------------------------------------------------------- its students

    def predict(self, X: Any) -> Array:
        """Predict classes with a student that was trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Array:
        """Predict class probabilities with a student trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        X = new_samples(self, X)
        return np.concatenate(
            [self._probabilities(as_tensor(X[rows])) for rows in gen_batches(len(X), _BATCH)]
        )

    @torch.no_grad()
    def _probabilities(self, x: torch.Tensor) -> Array:
        # Not by skorch's predict_proba, whose DataLoader moves torch's global generator.
        return self.student_.infer(x).softmax(-1).cpu().numpy()

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
        y : array-like of shape (n_samples,)
            Their classes.
        n_inits : int, default=20
            Students. Of a pool of known nets each is taken once at most, of one net that one.
        student : None, nn.Module class or NeuralNetClassifier, default=None
            Another architecture; ``None`` takes the one that the data were distilled for.
        init : None, {"random", "fixed"}, callable, list, dict or path-like, default=None
            Another weight prior, such as held-out pre-trained nets. ``None`` takes the distiller's
            own, and ``"random"`` for another architecture unless that is a callable.
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
            accuracy before the first step and after each; with ``each_step=False``, (1, n_inits).
        """
        data = self._distilled_data()
        X = new_samples(self, X)
        indices = class_indices(y, self.classes_, len(X))
        check_scalar(n_inits, "n_inits", Integral, min_val=1)
        device = resolve_device(self.device)
        network, recipe = self.recipe_.network(student), self.recipe_
        seed = self.seed_
        if random_state is not None:
            seed = int(check_random_state(random_state).randint(2**31))
        if init is None:
            prior = recipe.prior(network, seed, own=student is None)
        else:
            prior = weight_prior(init, network, self.seed_)
        nets = draw(prior, distinct(prior, n_inits), seed, Stream.EVALUATE, device=device)
        real = RealData(X, indices, np.arange(len(X)), recipe.standardize, self.batch_size, device)
        x, y_syn, lrs = (tensor.to(device) for tensor in data.as_tensors())
        if n_epochs is not None:
            check_scalar(n_epochs, "n_epochs", Integral, min_val=1)
            lrs = lrs[torch.arange(n_epochs).clamp(max=len(lrs) - 1)]
        steps = schedule(x, y_syn, lrs)
        return evaluate(learner(network, device), nets, steps, real, each_step)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


_COLUMNS = {"pandas": "columns", "polars": "schema"}  # how each names the columns of a DataFrame


def _go(run: Run, monitor: Monitor, progress: Progress) -> None:
    """Go through a run to its end, to no more progress, or to Ctrl-C."""
    try:
        with progress as report:
            for iteration, score in run:
                report(iteration, score)
                if monitor.stale:
                    break
    except KeyboardInterrupt:
        warnings.warn("Interrupted: the best iterate so far is kept.", stacklevel=4)
    if monitor.sick:
        warnings.warn(
            "The last outer iterations were not finite and were undone; the fit keeps its best "
            "iterate. Lower distill_lr or outer_lr, or take fewer steps.",
            RuntimeWarning,
            stacklevel=4,
        )


def _to_numpy(distilled: DistilledSet, recipe: Recipe) -> tuple[Array, Array, Array]:
    """X, y and step sizes as the user knows them."""
    x, y, lrs = (t.detach().cpu() for t in (distilled.x, distilled.y, distilled.lrs))
    X = recipe.standardize.inverse(x.flatten(0, 1)).numpy()
    probabilities = y.flatten(0, 1).numpy()
    if distilled.learn_labels:
        return X, probabilities, lrs.numpy()
    return X, recipe.classes[probabilities.argmax(axis=1)], lrs.numpy()
