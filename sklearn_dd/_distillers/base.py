"""The fit of every distiller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from .._data import Continuous, RealSet
from .._distilled import DistilledData
from .._engine import DistilledSet
from .._files import PathLike
from .._guards import all_or_nothing, warn_user
from .._student import acceleration, replay_student
from .checkpoint import Checkpoint
from .monitor import Monitor
from .phases import Phase, phases
from .problem import Problem
from .progress import Progress
from .result import FittedDistiller
from .run import Run

_DIVERGED = (
    "The last outer iterations were not finite and were undone; the fit keeps its best iterate. "
    "Lower distill_lr or outer_lr, or take fewer steps."
)


class BaseDistiller(FittedDistiller):
    """Base of the distillers: a fit, from checked data to distilled data."""

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
            arrays, memory maps, DataFrames and torch tensors. X is neither copied nor converted as
            a whole.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.
        resume_from : path-like, default=None
            A checkpoint of a fit of the same data with the same parameters. The fit continues as if
            it had not been ended.

        Returns
        -------
        BaseDistiller
            The fitted distiller.
        """
        resumed = Checkpoint.read(resume_from)
        problem = Problem.from_parameters(self, self._read(X, y), self._seed(resumed))
        resumed.check(problem.fixed_parameters)
        distilled = self._start(problem)
        monitor = Monitor(
            distilled, problem.validator(distilled), self.max_iter, self.n_iter_no_change
        )
        run = Run(
            problem, distilled, self._phases(problem), monitor, resumed,
            max_iter=self.max_iter, max_time=self.max_time,
            checkpoint=self.checkpoint, every=self.checkpoint_every,
        )  # fmt: skip
        verbose = self.verbose if problem.reducer.is_main() else 0
        with Progress(verbose, self.max_iter, monitor.done) as progress, _interruptible():
            for iteration in run:  # draw a batch and students, differentiate, step
                score = monitor.update(iteration)
                run.write_checkpoint()
                progress(iteration, score, run.expected())
                if monitor.out_of_patience:
                    break
            else:
                monitor.close()
            progress.close(acceleration(problem.student))
        if monitor.has_diverged:
            warn_user(_DIVERGED, RuntimeWarning)
        distilled.restore(monitor.best)
        return self._publish(problem, distilled, monitor)

    def _read(self, X: Any, y: Any) -> RealSet:
        """X and y, checked; the one thing that classifier and regressor do differently."""
        raise NotImplementedError

    def _seed(self, resumed: Checkpoint) -> int:
        """The seed of all draws: that of the fit that is continued, or a new one."""
        seed = int(check_random_state(self.random_state).randint(2**31))
        if self._continues():
            seed = self.seed_  # so that a fixed net and the held-out part stay the same
        return resumed.metadata.get("seed", seed)

    def _continues(self) -> bool:
        return self.warm_start and hasattr(self, "X_syn_")

    def _start(self, problem: Problem) -> DistilledSet:
        """The distilled set before the first outer iteration."""
        return problem.start(self._distilled_data() if self._continues() else None)

    def _phases(self, problem: Problem) -> list[Phase]:
        """The parts of the fit."""
        return phases(
            self.method, problem.objective, self.augment, problem.student, problem.real.targets,
            problem.spec.sample_shape, problem.device,
        )  # fmt: skip

    def _publish(self, problem: Problem, distilled: DistilledSet, monitor: Monitor) -> Self:
        """Set the fitted attributes."""
        recipe, targets = problem.recipe, problem.real.targets
        x, y, lrs = (t.detach().cpu() for t in (distilled.x, distilled.y, distilled.lrs))
        self.X_syn_ = recipe.units.inverse(x.flatten(0, 1)).numpy()
        self.y_syn_ = targets.decode(y.flatten(0, 1), distilled.learns_labels)
        self.lrs_ = lrs.numpy()
        if not isinstance(targets, Continuous):
            self.classes_ = targets.values
        self.recipe_, self.seed_ = recipe, problem.seed
        self.sample_shape_ = problem.spec.sample_shape
        self.history_, self.n_iter_ = monitor.history, monitor.done
        self.acceleration_ = acceleration(problem.student)
        self.student_ = replay_student(
            problem.spec, problem.first_weights(), recipe.units, targets, self.X_syn_.copy(),
            self.y_syn_, self.lrs_, problem.device,
        )  # fmt: skip
        return self

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


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the fit early."""
    try:
        yield
    except KeyboardInterrupt:
        warn_user("Interrupted: the best iterate so far is kept.")
