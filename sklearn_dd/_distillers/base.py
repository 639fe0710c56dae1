"""The fit of every distiller."""

from __future__ import annotations

import os
import time
from typing import Any, Self

from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from .._guards import all_or_nothing
from .checkpoint import Checkpoint
from .measure import Starts, first_set
from .phases import Phase, phases_of
from .problem import Problem
from .progress import Progress
from .result import FittedDistiller, try_models
from .run import Run


class BaseDistiller(FittedDistiller):
    """Base of the distillers: a fit, from checked data to distilled data."""

    @_fit_context(prefer_skip_nested_validation=False)
    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learn synthetic samples, their labels and step sizes.

        Ctrl-C ends the fit early and keeps the best iterate so far.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples: a table, flat images, or images of shape (n_samples, height, width),
            (n_samples, channels, height, width) or (n_samples, height, width, channels). NumPy
            arrays, memory maps, DataFrames and torch tensors. Arrays and memory maps are neither
            copied nor converted as a whole.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each real sample counts. ``None`` counts all alike. Real batches are drawn so
            that a sample of weight 2 comes twice as often as one of weight 1.
        resume_from : path-like, default=None
            A checkpoint of a fit of the same data with the same parameters. The fit continues as if
            it had not been ended.

        Returns
        -------
        BaseDistiller
            The fitted distiller.
        """
        began = time.monotonic()
        resumed = Checkpoint.read(resume_from, write_to=self.checkpoint)
        budget = resumed.metadata.get("budget", self.max_time)
        problem = Problem.from_parameters(self, X, y, sample_weight, self._seed(resumed), budget)
        if resume_from is not None:
            resumed.check(problem.made_of)
        starts = self._start(problem)
        problem = problem.weighing(starts.losses)
        try_models(problem, starts.first)
        run = Run(problem, starts.first, starts.fallback, starts.each, resumed, began)
        verbose = self.verbose if problem.phases and problem.reducer.is_main() else 0
        with Progress(verbose, self.max_iter, run.monitor.done) as progress:
            progress.announce(problem.parameters.plan)
            for iteration in run:  # a real batch, students, the hypergradient, a step of Adam
                score = run.record(iteration)
                run.write_checkpoint()
                progress(iteration, score, run.expected())
        run.close(progress.is_interrupted)
        progress.report(run.reason, problem.acceleration())
        return self._publish(problem, starts.first, run)

    def _seed(self, resumed: Checkpoint) -> int:
        """The seed of all draws: that of the fit that is continued, or a new one."""
        seed = int(check_random_state(self.random_state).randint(2**31))
        if self._continues():
            seed = self.seed_  # so that a fixed net and the held-out part stay the same
        return resumed.metadata.get("seed", seed)

    def _continues(self) -> bool:
        return self.warm_start and hasattr(self, "X_syn_")

    def _start(self, problem: Problem) -> Starts:
        """Where the outer loop starts: from new samples, or from those of the last fit."""
        return first_set(problem, self._distilled_data() if self._continues() else None)

    def _phases(self, method: Any, *problem: Any) -> list[Phase]:
        """The parts of the fit."""
        return phases_of(method, self.augment, self.training_loop, *problem)
