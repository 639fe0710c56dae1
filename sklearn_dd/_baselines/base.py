"""Baselines: small sets whose samples are chosen or computed, not learned.

A distilled set should do better than these. A baseline is a distiller whose samples stay fixed. It
chooses them, and a step size, on training data. All else is as in a distiller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._data import Array, RealData, RealSet, Targets, classification_data
from .._distilled import DistilledData
from .._distillers import (
    BaseDistiller,
    DistillerParameters,
    FittedClassifier,
    Phase,
    Problem,
    Starts,
    class_labels,
    starting_set,
)
from .._engine import (
    DistilledSet,
    Hypergradient,
    Method,
    OuterProblem,
    Stream,
    StudentFn,
    distinct,
    draw,
)
from .._evaluation import Training
from .._scores import accuracies
from .._selection import choose_by_class  # fmt: skip
from ..methods import Unrolled

_MAX_ROWS = 2000  # training samples on which step sizes and sets are compared
_N_INITS = 8  # students with which they are compared
_BATCH = 512  # samples that are scored at a time
_MAX_VALUES = 1 << 25  # values of one class that are considered
_SHARED = (
    "n_steps", "n_epochs", "student", "init", "max_iter", "batch_size", "n_inits", "sample_shape",
    "standardize", "device", "random_state", "verbose",
)  # fmt: skip


class StepSizesOnly(Method):
    """The exact hypergradient of the step sizes; samples and labels stay fixed."""

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the outer loss and a gradient that is 0 except for the step sizes."""
        exact = Unrolled()(problem)
        return problem.zeros()._replace(loss=exact.loss, lrs=exact.lrs)


@dataclass(eq=False, repr=False, match_args=False)
class Baseline(FittedClassifier, BaseDistiller):
    """Base of the baselines, which differ in how they choose the samples of a class.

    A subclass defines the static method ``choose``.

    Parameters
    ----------
    n_per_class : int or dict, default=1
        Number of samples of each class. A dict gives each class its own number. If a class has
        fewer real samples, they are repeated.
    n_steps : int, default=1
        Number of mini-batches that the samples are divided into. It must divide ``n_per_class``.
    n_epochs : int, default=10
        Number of passes of a student over the mini-batches.
    schedule : {"fixed", "learned"}, default="fixed"
        ``"fixed"`` uses the best of ``step_sizes`` for all steps. ``"learned"`` starts there and
        learns a step size for each step, as a distiller does.
    step_sizes : sequence of float, default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
        Step sizes to choose from. The best has the highest mean accuracy of students on up to 2,000
        training samples. There are 8 students, which no evaluation draws; with a pool, up to 8 of
        its nets; with one known net, that net alone.
    n_sets : int, default=1
        Number of sets to choose from in the same way, if the choice of samples is random.
    student : None, nn.Module class or NeuralNetClassifier, default=None
        The network that learns from the samples, as in ``DatasetDistiller``.
    init : {"random", "fixed"}, callable, list, dict, str or path-like, default="random"
        The weights that students start from, as in ``DatasetDistiller``. With ``"fixed"``, a
        baseline and a distiller with the same int ``random_state`` have the same known net.
    max_iter : int, default=200
        Number of outer iterations for a learned schedule.
    batch_size : int, default=256
        Number of real samples in each outer iteration.
    n_inits : int, default=4
        Number of students in each outer iteration.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), if X is flat.
    standardize : bool, default=True
        Choose and train in units of mean 0 and standard deviation 1.
    device : str or torch.device, default="auto"
        Device to compute on. ``"auto"`` takes CUDA, else MPS, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.
    verbose : int, default=0
        0 is silent, 1 shows the progress of a learned schedule, 2 adds its validations.

    See Also
    --------
    DatasetDistiller : Learns samples. A baseline has the same methods and fitted attributes.

    Notes
    -----
    At most 2²⁵ values of each class are considered, for example 222 images of 224 × 224 × 3. They
    are drawn at random. A larger ``n_per_class`` raises the limit.

    Examples
    --------
    A baseline that chooses the samples of each class that are farthest from its mean:

    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import Baseline
    >>> class Outliers(Baseline):
    ...     @staticmethod
    ...     def choose(z, wanted, rng):
    ...         distances = np.square(z - z.mean(axis=0)).sum(axis=1)
    ...         return z[np.argsort(distances)[-wanted:]]
    >>> X, y = load_wine(return_X_y=True)
    >>> Outliers(n_per_class=2, random_state=0).fit_transform(X, y).X.shape
    (6, 13)
    """

    n_per_class: Any = 1
    _: KW_ONLY
    n_steps: int = 1
    n_epochs: int = 10
    schedule: str = "fixed"
    step_sizes: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    n_sets: int = 1
    student: Any = None
    init: Any = "random"
    max_iter: int = 200
    batch_size: int = 256
    n_inits: int = 4
    sample_shape: tuple[int, ...] | None = None
    standardize: bool = True
    device: str | torch.device = "auto"
    random_state: Any = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: DistillerParameters._parameter_constraints[name] for name in _SHARED},
        "n_per_class": [Interval(Integral, 1, None, closed="left"), Mapping],
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "schedule": [StrOptions({"fixed", "learned"})],
        "step_sizes": ["array-like"],
        "n_sets": [Interval(Integral, 1, None, closed="left")],
    }

    # Parameters of a distiller that a fit reads and a baseline does not expose.
    objective: ClassVar[str] = "classification"
    labels: ClassVar[str] = "hard"
    outer_lr: ClassVar[float] = 0.05
    step_size_rate: ClassVar[float] = 0.2
    max_time: ClassVar[None] = None
    n_iter_no_change: ClassVar[None] = None
    warm_start: ClassVar[bool] = False
    checkpoint: ClassVar[None] = None
    checkpoint_every: ClassVar[int] = 1

    @staticmethod
    def choose(z: Array, wanted: int, rng: np.random.Generator) -> Array:
        """Choose samples of one class. Subclasses define this method.

        Parameters
        ----------
        z : ndarray of shape (n, n_values)
            Standardised samples of one class, in random order.
        wanted : int
            Number of samples to choose, at most n.
        rng : numpy.random.Generator
            Source of random draws.

        Returns
        -------
        ndarray of shape (wanted, n_values)
            The chosen samples. If there are fewer, they are repeated.
        """
        raise NotImplementedError("A baseline sets choose: see the description of Baseline.")

    @property
    def validation_fraction(self) -> float:
        """Fraction of samples held out to validate learned step sizes; 0 for fixed ones."""
        return DistillerParameters.validation_fraction if self.schedule == "learned" else 0.0

    def fit(self, X: Any, y: Any) -> Self:
        """Choose samples and step sizes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples, as ``DatasetDistiller.fit`` takes them.
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        Baseline
            The fitted baseline.
        """
        return super().fit(X, y)

    def _read(self, X: Any, y: Any, sample_weight: Any, n_steps: int) -> RealSet:
        self._checked_step_sizes()
        return classification_data(self, X, y, self.n_per_class, n_steps, multilabel=False)

    def _start(self, problem: Problem) -> Starts:
        """The best of the chosen sets, with the best step size, which is the fallback too."""
        if not isinstance(problem.student, StudentFn):
            raise TypeError(
                f"student={self.student!r} must be one net, for which a baseline chooses step "
                "sizes. To score models on the samples, pass them to evaluate or compare."
            )
        seed = int(self.random_state) if isinstance(self.random_state, Integral) else problem.seed
        rng = np.random.default_rng(seed)
        schedule = problem.parameters.n_epochs, problem.parameters.n_steps
        sets = [self._choose(problem, rng) for _ in range(self.n_sets)]
        score = _scorer(problem, schedule, seed, rng)
        step_size = _best(self._checked_step_sizes(), lambda size: score(sets[0], size))
        samples = _best(sets, lambda chosen: score(chosen, step_size))
        start = starting_set(
            problem.real, problem.training.rows, problem.recipe.units, rng,
            data_init=samples, schedule=schedule, lr=step_size, labels="hard",
        ).to(problem.device)  # fmt: skip
        return Starts(start, start)

    def _phases(
        self, method: Any, objective: Any, student: Any, targets: Targets, *rest: Any
    ) -> list[Phase]:
        if self.schedule == "fixed":
            return []
        return [Phase(StepSizesOnly(), targets.objective, 0.0, 1.0)]

    def _publish(self, problem: Problem, distilled: DistilledSet, run: Any) -> Self:
        super()._publish(problem, distilled, run)
        # scikit-learn asks for an iteration of all that have max_iter: choosing counts as one.
        self.n_iter_ = max(1, self.n_iter_)
        return self

    def _choose(self, problem: Problem, rng: np.random.Generator) -> Array:
        """Samples (n, *input_shape) in the units of X, ordered by step, class within step."""
        real, units = problem.real, problem.recipe.units

        def choose(z: Array, wanted: int, rng: np.random.Generator) -> Array:
            most = min(wanted, len(z))
            chosen = np.asarray(type(self).choose(z, most, rng))
            fits = chosen.ndim == 2 and chosen.shape[1] == z.shape[1] and 0 < len(chosen) <= most
            if not fits or not np.isfinite(chosen).all():
                raise ValueError(
                    f"{type(self).__name__}.choose must return at most {most} finite samples of "
                    f"{z.shape[1]} values, and at least one, but returned an array of shape "
                    f"{chosen.shape}. Return rows of z, or means of them."
                )
            return np.resize(chosen, (wanted, z.shape[1])).astype(np.float32)

        z = choose_by_class(
            real.X, [np.flatnonzero(real.y == c) for c in range(len(real.counts))], real.counts,
            problem.parameters.n_steps, units, rng, choose=choose,
            limit=_MAX_VALUES // real.X.shape[1],
        )  # fmt: skip
        X = units.inverse(z.reshape(-1, *units.sample_shape))
        table = problem.recipe.table
        return (X if table is None else table.snap(X)).numpy()

    def _checked_step_sizes(self) -> list[float]:
        sizes = np.asarray(self.step_sizes)
        numbers = sizes.dtype.kind in "iuf" and sizes.ndim == 1 and sizes.size
        if not numbers or not (np.isfinite(sizes) & (sizes > 0)).all():
            raise ValueError(
                f"step_sizes must be a sequence of positive numbers, got {self.step_sizes!r}. "
                "Give one to use it, or several to choose from."
            )
        return sizes.tolist()


def _scorer(
    problem: Problem, schedule: tuple[int, int], seed: int, rng: np.random.Generator
) -> Callable[[Array, float], float]:
    """(samples, step size) -> mean accuracy on training data, of students no evaluation draws."""
    real, recipe, device = problem.real, problem.recipe, problem.device
    rows = _share_of_each_class(real.y, _MAX_ROWS, rng)
    seen = RealData(real.X, real.y, rows, recipe.units, _BATCH, device)
    prior = recipe.prior(recipe.net(), seed)
    params = draw(prior, distinct(prior, _N_INITS), seed, Stream.HELD_OUT, device=device)
    y = real.targets.decode(class_labels(real.counts, schedule[1]).flatten(0, 1), learned=False)

    def score(samples: Array, step_size: float) -> float:
        data = DistilledData(samples, y, np.full(schedule, step_size), recipe)
        tensors = (tensor.to(device) for tensor in data.as_tensors())
        return float(Training(problem.student, params, *tensors).scores(seen, accuracies).mean())

    return score


def _best(choices: list[Any], score: Callable[[Any], float]) -> Any:
    """The choice with the highest score. A single choice is not scored."""
    return max(choices, key=score) if len(choices) > 1 else choices[0]


def _share_of_each_class(y: Array, n_rows: int, rng: np.random.Generator) -> Array:
    """About ``n_rows`` rows, sorted: the same fraction of each class, and at least one."""
    share = min(1.0, n_rows / len(y))
    by_class = (rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y))
    return np.sort(np.concatenate([rows[: int(np.ceil(share * len(rows)))] for rows in by_class]))
