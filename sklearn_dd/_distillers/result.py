"""What a fitted distiller offers: its data, the scores of students, predictions."""

from __future__ import annotations

import importlib
from typing import Any, Self

import sklearn
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    _clone_parametrized,
)
from sklearn.utils import gen_batches
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._data import Array, Continuous, as_tensor, new_samples
from .._distilled import DistilledData, Recipe
from .._engine import DistilledSet
from .._evaluation import Evaluation
from .._student import ModelSpec, SeveralSpec, Student, fit_model, is_model, quicker, replay_student
from .problem import Problem
from .run import Run

_BATCH = 512  # samples that are predicted at a time
_COLUMNS = {"pandas": "columns", "polars": "schema"}  # the argument of DataFrame that names them


class FittedDistiller(
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # scikit-learn cannot wrap a triple
):
    """The methods of a distiller after its fit."""

    fit: Any
    device: Any
    X_syn_: Array
    y_syn_: Array
    lrs_: Array
    recipe_: Recipe
    student_: Student

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass that redefines transform would be wrapped again.
        super().__init_subclass__(**{"auto_wrap_output_keys": None, **kwargs})

    def _publish(self, problem: Problem, distilled: DistilledSet, run: Run) -> Self:
        """Set the fitted attributes."""
        recipe, targets = problem.recipe, problem.real.targets
        self.X_syn_, self.y_syn_ = _as_the_user_has_them(problem, distilled)
        self.lrs_ = distilled.lrs.detach().cpu().numpy()
        if not isinstance(targets, Continuous):
            self.classes_ = targets.values
            counts = problem.real.counts * self.lrs_.shape[1]
            self.n_per_class_ = dict(zip(targets.values.tolist(), counts.tolist(), strict=True))
        self.recipe_, self.seed_, self.plan_ = recipe, problem.seed, problem.parameters.plan
        self.sample_shape_ = problem.spec.sample_shape
        self.history_, self.n_iter_ = run.monitor.history, run.monitor.done
        self.stop_reason_, self.fit_time_ = run.reason, run.seconds()
        self.acceleration_ = problem.acceleration()
        contest = run.contest
        self.gains_ = contest.gains if contest and len(contest.errors) else None
        self.student_ = self._first_student(problem)
        return self

    def _first_student(self, problem: Problem) -> Any:
        """The student, or the first of several, after it has learned from the distilled data."""
        spec, weights = problem.spec, problem.first_weights()
        if isinstance(spec, SeveralSpec):
            spec = spec.members[0]
            weights = {
                name.removeprefix("0."): w for name, w in weights.items() if name.startswith("0.")
            }
        recipe = self.recipe_
        made_of = recipe.units, recipe.targets
        if isinstance(spec, ModelSpec):
            seed = int(weights["seed"])
            return fit_model(spec.model, *made_of, self.X_syn_, self.y_syn_, seed, recipe.table)
        return replay_student(
            spec, weights, *made_of, recipe.numbers(self.X_syn_), self.y_syn_, self.lrs_,
            problem.device, recipe.table,
        )  # fmt: skip

    def transform(self, X: Any = None) -> DistilledData:
        """Return the distilled data.

        Parameters
        ----------
        X : array-like, default=None
            Checked if it is given, as a pipeline does, and otherwise not used.

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
        if container == "default" or data.X.ndim != 2 or self.recipe_.table is not None:
            return data
        library = importlib.import_module(container)
        names = list(self.get_feature_names_out())
        frame = library.DataFrame(data.X, **{_COLUMNS[container]: names})
        return DistilledData(frame, data.y, data.lrs, data.recipe)

    def fit_transform(self, X: Any, y: Any, **fit_params: Any) -> DistilledData:
        """Distil, and return the distilled data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.
        **fit_params : dict
            Passed to `fit`.

        Returns
        -------
        DistilledData
            ``(X_syn, y_syn, lrs)``.
        """
        return self.fit(X, y, **fit_params).transform()

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

        Returns
        -------
        Evaluation
            ``mean``, ``std``, ``scores`` of shape (n_inits,) and ``step_scores`` of shape
            (T + 1, n_inits) with ``each_step=True``, else (1, n_inits). With several students,
            ``scores`` has a row for each.

        See Also
        --------
        DistilledData.evaluate : The same for data from a file.
        """
        data = self._distilled_data()
        return data.evaluate(
            self._checked(X), y, n_inits=n_inits, student=student, init=init,
            n_epochs=n_epochs, each_step=each_step, scoring=scoring, sample_weight=sample_weight,
            random_state=random_state, device=self.device,
        )  # fmt: skip

    def _checked(self, X: Any) -> Any:
        """Flat samples, checked against those of the fit; a table as it is."""
        checked = new_samples(self, X)
        return checked if self.recipe_.table is None else X

    def _distilled_data(self) -> DistilledData:
        check_is_fitted(self)
        return DistilledData(self.X_syn_.copy(), self.y_syn_.copy(), self.lrs_.copy(), self.recipe_)

    def _predicted(self, X: Any) -> Array:
        """What ``student_`` predicts for samples."""
        check_is_fitted(self)
        if is_model(self.student_):
            return self.student_.predict(self._checked(X))
        return self.recipe_.targets.predictions(self._outputs(X))

    @torch.no_grad()
    def _outputs(self, X: Any) -> torch.Tensor:
        """The outputs of ``student_``, a net, for samples."""
        X = new_samples(self, X)
        # Not with skorch's predict, whose DataLoader moves torch's global generator.
        batches = (as_tensor(X[rows]) for rows in gen_batches(len(X), _BATCH))
        return torch.cat([self.student_.infer(x).cpu() for x in batches])

    def __sklearn_clone__(self) -> Self:
        new = _clone_parametrized(self)
        new.init = self.init  # a clone of a fitted net would not be fitted
        return new

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _as_the_user_has_them(problem: Problem, distilled: DistilledSet) -> tuple[Any, Array]:
    """Distilled samples and labels in the units and the layout of X and y."""
    recipe = problem.recipe
    x, y = (t.detach().cpu().flatten(0, 1) for t in (distilled.x, distilled.y))
    numbers = recipe.units.inverse(x).numpy()
    X = numbers if recipe.table is None else recipe.table.decode(numbers)
    return X, problem.real.targets.decode(y, distilled.learns_labels)


def try_models(problem: Problem, distilled: DistilledSet) -> None:
    """Fit each scikit-learn model to a set, so that one that cannot learn from it says so early."""
    spec, recipe = problem.spec, problem.recipe
    each = spec.members if isinstance(spec, SeveralSpec) else [spec]
    models = [member.model for member in each if isinstance(member, ModelSpec)]
    if not models:
        return
    X, y = _as_the_user_has_them(problem, distilled)
    made_of = recipe.units, recipe.targets, X, y
    for model in models:
        try:
            quick = quicker(model, recipe.targets.n_outputs)
            fit_model(quick, *made_of, problem.seed, recipe.table).predict(X[:1])
        except Exception as error:
            error.add_note(
                f"student={model!r} cannot learn from {len(X)} distilled samples. Change its "
                "parameters, or distil more samples."
            )
            raise


def _gives_probabilities(distiller: Any) -> bool:
    """Whether ``student_`` does, if there is one."""
    student = getattr(distiller, "student_", None)
    return student is None or hasattr(student, "predict_proba")


class FittedClassifier(ClassifierMixin, FittedDistiller):
    """The same with classes, or several labels, as targets."""

    def predict(self, X: Any) -> Array:
        """Predict classes with a student that was trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels; for multilabel targets 1 for each label that is likelier than not, else 0.
        """
        return self._predicted(X)

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Predict class probabilities with a student trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``; for multilabel targets, of each label.
        """
        check_is_fitted(self)
        if is_model(self.student_):
            return self.student_.predict_proba(self._checked(X))
        outputs, targets = self._outputs(X), self.recipe_.targets
        assert not isinstance(targets, Continuous)
        return targets.probabilities(outputs).numpy()
