"""Distilled data: what a fit returns, and what students are trained on."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar

from .._data import Array, Multiclass, RealData, checked_weights, resolve_device, samples_for
from .._engine import Prior, Stream, distinct, draw
from .._evaluation import SCORES, Evaluation, Training, evaluate, scorer
from .._guards import warn_user, with_gradients
from .._student import (
    Spec,
    Student,
    StudentSpec,
    fit_model,
    is_model,
    replay_student,
    weight_prior,
    weighted_rows,
)
from .models import evaluate_model, together
from .provenance import identity
from .recipe import STUDENT, Recipe, first_of, schedule

_BATCH = 256  # real samples that are scored at a time


class _Triple(NamedTuple):
    X: Any
    y: Array
    lrs: Array


class DistilledData(_Triple):
    """Synthetic samples, their labels and the step sizes to train with.

    It unpacks like a tuple of three: ``X_syn, y_syn, lrs = distilled``.

    Parameters
    ----------
    X : ndarray of shape (n, n_features) or (n, ...), or DataFrame
        Synthetic samples in the units and the layout of the X that was distilled. Rows are ordered
        by step, and by class within a step.
    y : ndarray of shape (n,) or (n, n_classes)
        Class labels (n,), or learned labels (n, n_classes). For a multilabel y, 1 and 0 or learned
        labels (n, n_labels). For regression, targets (n,) in the units of y.
    lrs : ndarray of shape (n_epochs, n_steps)
        Step size of each gradient step. Step t trains on the mini-batch of rows
        ``k * n // n_steps : (k + 1) * n // n_steps`` with ``k = t % n_steps``.
    recipe : Recipe or None, default=None
        What is needed, beside X, y and lrs, to train a student.

    See Also
    --------
    DatasetDistiller : Makes distilled data.
    save_distilled : Writes distilled data to a file.
    load_distilled : Reads distilled data from a file.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> distilled = DatasetDistiller(max_iter=20, random_state=0).fit_transform(X, y)
    >>> distilled.X.shape, distilled.y, distilled.lrs.shape
    ((3, 13), array([0, 1, 2]), (10, 1))
    >>> student = distilled.train(random_state=1)
    >>> student.predict_proba(X).shape
    (178, 3)
    >>> distilled.evaluate(X, y, n_inits=5).scores.shape
    (5,)
    """

    recipe: Recipe | None = None

    def __new__(cls, X: Any, y: Array, lrs: Array, recipe: Recipe | None = None) -> DistilledData:
        self = super().__new__(cls, X, y, lrs)
        self.recipe = recipe
        return self

    def _replace(self, **changes: Any) -> DistilledData:
        return DistilledData(*super()._replace(**changes), self.recipe)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "Distilled data are a triple (X, y, lrs), not one array. In a Pipeline, a distiller "
            "must be the last step, because it changes the number of samples and their labels. "
            "Take X_syn, y_syn, lrs = pipe[-1].transform() and fit the next estimator on X_syn, "
            "y_syn."
        )

    @with_gradients
    def train(
        self,
        student: Any = None,
        *,
        init: Any = None,
        random_state: Any = None,
        device: str | torch.device = "auto",
    ) -> Student:
        """Train a fresh student on the distilled data alone.

        Parameters
        ----------
        student : None, nn.Module class, skorch net or scikit-learn model, default=None
            What to train. ``None`` takes what the data were distilled for; of several students, the
            first. A file holds its name only. After ``load_distilled``, a student of this package
            or of scikit-learn is built by its name; an ``MLP`` takes the place of any other, with a
            warning. A class is trained by the optimiser that the data were distilled for, a skorch
            net by its own.
        init : None, {"random", "fixed"}, callable, list, dict, str or path-like, default=None
            The weights to start from, such as the state dict of a net to adapt. ``None`` takes the
            prior that the data were distilled for: random weights, the known net, or one net of the
            pool. If the student cannot take these weights, or a file did not hold them, it starts
            from random weights, with a warning.
        random_state : int, RandomState instance or None, default=None
            Seed that decides the initial weights, or the net of a pool.
        device : str or torch.device, default="auto"
            Device to train on. ``"auto"`` takes CUDA, else MPS, else the CPU.

        Returns
        -------
        NeuralNetClassifier, NeuralNetRegressor, Pipeline or TransformedTargetRegressor
            A fitted skorch net, or a fitted model in a pipeline. It takes samples in the units of
            X. Columns of a DataFrame must be in the order of X. Its ``predict`` returns class
            labels, 1 and 0 for a multilabel y, or predictions in the units of y.
        """
        recipe = self._known_recipe()
        seed = int(check_random_state(random_state).randint(2**31))
        chosen = recipe.chosen(student)
        first = first_of(chosen)
        if is_model(first):
            if init is not None:
                raise ValueError(f"init is for nets, but student={first!r} draws no weights.")
            return fit_model(
                first, recipe.units, recipe.targets, self.X, self.y, seed, recipe.table
            )
        spec = recipe.net(first)
        prior = self._prior(spec, init, seed, seed)
        if student is None:
            _warn_of_another_student(recipe, recipe.spec(chosen))
        if init is None:
            _warn_of_other_weights(recipe, spec, prior)
        params = draw(prior, range(1), seed, Stream.STUDENT)
        weights = {name: p[0] for name, p in params.items()}
        return replay_student(
            spec, weights, recipe.units, recipe.targets, recipe.numbers(self.X), self.y,
            schedule(self.lrs, spec.optimizer), resolve_device(device), recipe.table,
        )  # fmt: skip

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
        each_step: bool = False,
        scoring: Any = None,
        sample_weight: Any = None,
        random_state: Any = None,
        device: str | torch.device = "auto",
    ) -> Evaluation:
        """Train fresh students on the distilled data alone and score them on real samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples that no fit has seen.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their class labels, labels as 1 and 0, or regression targets.
        n_inits : int, default=20
            Number of students. Each net of a pool is used at most once, a single known net once.
        student : None, nn.Module class, skorch net, scikit-learn model or list, default=None
            Another student. ``None`` takes what the data were distilled for. A class is trained by
            the optimiser that the data were distilled for, a skorch net by its own. A model is
            fitted ``n_inits`` times if it draws at random, else once. Of a list, each is scored.
        init : None, {"random", "fixed"}, callable, list, dict, str or path-like, default=None
            Another weight prior. ``None`` takes the prior that the data were distilled for. Another
            architecture uses this prior only if it is a callable, and ``"random"`` otherwise. Data
            that were distilled for a pool suit its nets best. To score other nets, pass held-out
            nets.
        n_epochs : int or None, default=None
            Another number of distilled epochs. Beyond the learned ones, the step sizes of the last
            epoch are repeated.
        each_step : bool, default=False
            Score students before the first step and after each step. With many steps and samples,
            this takes longer than training.
        scoring : str, callable or None, default=None
            A scikit-learn scorer, by name or as ``(estimator, X, y) -> float``. ``None`` takes
            accuracy for a multiclass y, the fraction of samples with all labels correct for a
            multilabel y, and R² for regression.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each sample counts in a score. ``None`` counts all alike. A scorer that
            ``scoring`` names must take weights.
        random_state : int, RandomState instance or None, default=None
            Seed of the initial weights. ``None`` takes the seed of the fit, but a stream from which
            the fit did not draw.
        device : str or torch.device, default="auto"
            Device to train on. ``"auto"`` takes CUDA, else MPS, else the CPU.

        Returns
        -------
        Evaluation
            ``mean``, ``std``, ``scores`` of shape (n_inits,) and ``step_scores`` of shape
            (T + 1, n_inits) with ``each_step=True``, else (1, n_inits). With several students,
            ``scores`` has a row for each.
        """
        recipe = self._known_recipe()
        chosen = recipe.chosen(student)
        if isinstance(chosen, list | tuple):
            options = {
                "n_inits": n_inits, "init": init, "n_epochs": n_epochs, "each_step": each_step,
                "scoring": scoring, "sample_weight": sample_weight, "device": device,
                "random_state": random_state,
            }  # fmt: skip
            return together([self.evaluate(X, y, student=each, **options) for each in chosen])
        check_scalar(n_inits, "n_inits", Integral, min_val=1)
        X = samples_for(X, recipe.units.input_shape, recipe.table)
        weights = None if sample_weight is None else checked_weights(sample_weight, len(X))
        checked = recipe.targets.check(y, len(X))
        if is_model(chosen):
            return evaluate_model(
                chosen, recipe, self.X, self.y, X, y, n_fits=n_inits, scoring=scoring,
                sample_weight=weights, seed=self._seed(random_state), init=init,
                n_epochs=n_epochs, each_step=each_step,
            )  # fmt: skip
        score = (
            SCORES[recipe.targets.kind]
            if scoring is None
            else scorer(scoring, recipe.targets, y, weights)
        )
        real = self.real_data(X, checked, device, weights)
        training = self.training(n_inits, student, init, n_epochs, random_state, device)
        return evaluate(training, real, score, each_step)

    def real_data(
        self, X: Array, y: Array, device: str | torch.device, weights: Array | None = None
    ) -> RealData:
        """Convert checked real samples to batches that students can be scored on.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Flat samples in the units of X.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Class indices, labels as 1 and 0, or standardised targets.
        device : str or torch.device
            Device to move batches to.
        weights : ndarray of shape (n_samples,) or None, default=None
            How much each sample counts in a score.

        Returns
        -------
        RealData
            The samples, standardised batch by batch.
        """
        units = self._known_recipe().units
        return RealData(X, y, np.arange(len(X)), units, _BATCH, resolve_device(device), weights)

    def training(
        self,
        n_inits: int,
        student: Any,
        init: Any,
        n_epochs: int | None,
        random_state: Any,
        device: str | torch.device,
    ) -> Training:
        """Prepare students with held-out initial weights, and the schedule that trains them.

        Parameters
        ----------
        n_inits : int
            Number of students, as in `evaluate`.
        student : None, nn.Module class or NeuralNetClassifier
            Another architecture, as in `evaluate`.
        init : None, {"random", "fixed"}, callable, list, dict, str or path-like
            Another weight prior, as in `evaluate`.
        n_epochs : int or None
            Another number of distilled epochs, as in `evaluate`.
        random_state : int, RandomState instance or None
            Seed of the initial weights, as in `evaluate`.
        device : str or torch.device
            Device to train on.

        Returns
        -------
        Training
            Students before their first step, and the steps to take.
        """
        check_scalar(n_inits, "n_inits", Integral, min_val=1)
        recipe, device = self._known_recipe(), resolve_device(device)
        spec = recipe.net(student)
        seed = self._seed(random_state)
        prior = self._prior(spec, init, seed, recipe.description.get("seed", seed))
        if student is None:  # after loading a file, another one may have been chosen
            _warn_of_another_student(recipe, spec)
            if init is None:
                _warn_of_other_weights(recipe, spec, prior)
        params = draw(prior, distinct(prior, n_inits), seed, Stream.EVALUATE, device=device)
        x, y, lrs = (tensor.to(device) for tensor in self.as_tensors())
        if not len(lrs):
            lrs = torch.as_tensor(schedule(self.lrs, spec.optimizer), device=device)
        if n_epochs is not None:
            check_scalar(n_epochs, "n_epochs", Integral, min_val=1)
            lrs = lrs[torch.arange(n_epochs).clamp(max=len(lrs) - 1)]
        return Training(recipe.student_fn(spec, device), params, x, y, lrs)

    def _seed(self, random_state: Any) -> int:
        """The seed that the user names, or that of the fit."""
        seed = self._known_recipe().description.get("seed")
        if seed is None or random_state is not None:
            seed = int(check_random_state(random_state).randint(2**31))
        return seed

    def to_weighted_rows(self) -> tuple[Array, Array, Array]:
        """Convert learned labels to rows with weights, which other models can learn from.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features) or (n_rows, ...)
            A row for each sample and each class that its label gives a positive share.
        y : ndarray of shape (n_rows,)
            Class labels.
        sample_weight : ndarray of shape (n_rows,)
            The shares, which add up to 1 for each sample.
        """
        targets = self._known_recipe().targets
        if not isinstance(targets, Multiclass):
            raise ValueError(
                f"to_weighted_rows needs one class for each sample, but y is "
                f"{targets.kind.name.lower()}. Use X and y as they are."
            )
        shares = targets.encode(self.y).numpy()
        return weighted_rows(self.X, shares, targets.values)

    def _prior(self, spec: StudentSpec, init: Any, seed: int, fit_seed: int) -> Prior:
        """The weight prior of ``init``, by default the one that the data were distilled for."""
        if init is None:
            return self._known_recipe().prior(spec, seed)
        return weight_prior(init, spec, fit_seed)

    def as_tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Convert the distilled data to tensors, as a student takes them.

        Returns
        -------
        x : Tensor of shape (n_steps, batch, *sample_shape)
            Standardised samples.
        y : Tensor of shape (n_steps, batch, n_outputs)
            Labels as probabilities or numbers, or standardised targets.
        lrs : Tensor of shape (n_epochs, n_steps)
            Step sizes.
        """
        recipe = self._known_recipe()
        n_steps = self.lrs.shape[1]
        z = recipe.units(torch.as_tensor(recipe.numbers(self.X)))
        y = recipe.targets.encode(self.y)
        return (
            z.reshape(n_steps, -1, *z.shape[1:]),
            y.reshape(n_steps, -1, y.shape[1]),
            torch.as_tensor(self.lrs, dtype=torch.float32),
        )

    def _known_recipe(self) -> Recipe:
        if self.recipe is None:
            raise ValueError(
                "This DistilledData has no recipe, so it does not know its classes and units: take "
                "it from DatasetDistiller.transform or load_distilled."
            )
        return self.recipe


def _warn_of_another_student(recipe: Recipe, spec: Spec) -> None:
    """Warn if the data were distilled for another student than ``spec``."""
    made_for, chosen = [recipe.description.get(key) for key in STUDENT], identity(spec)
    if recipe.description and made_for != chosen:
        warn_user(
            "The data were distilled for {} {} with {}, but a file does not hold this student, and "
            "{} {} with {} takes its place. Pass the same student.".format(*made_for, *chosen)
        )


def _warn_of_other_weights(recipe: Recipe, spec: StudentSpec, prior: Prior) -> None:
    """Warn if the data were distilled for weights that ``prior`` does not draw."""
    lost = recipe.lost_weights(prior)
    if lost is not None:
        warn_user(
            f"The data were distilled for {lost.value.format(spec.name)}. The student starts from "
            "random weights. Pass the same student, or weights as init."
        )
