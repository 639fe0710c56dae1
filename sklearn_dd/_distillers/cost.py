"""What a fit takes, from its first iterations."""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.utils import check_random_state

from .._engine import OuterLoop, peak_bytes
from .._guards import with_gradients
from .measure import first_set
from .problem import Problem

_TIMED = 5  # iterations


class Cost(NamedTuple):
    """What a fit takes.

    Attributes
    ----------
    n_parameters : int
        Number of weights of a student.
    memory : int
        Largest number of bytes that an outer iteration allocates for tensors. Python, PyTorch and X
        come on top.
    seconds_per_iteration : float
        Median time of an outer iteration on this machine.
    seconds : float or None
        Time of the whole fit. ``None`` without ``max_iter`` and ``max_time``: such a fit ends when
        nothing gets better.

    See Also
    --------
    DatasetDistiller.estimate_cost : Returns it.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> cost = DatasetDistiller(max_time=60).estimate_cost(X, y)
    >>> cost.seconds, cost.n_parameters
    (60.0, 8707)
    """

    n_parameters: int
    memory: int
    seconds_per_iteration: float
    seconds: float | None


class CostEstimator:
    """The method of a distiller that estimates what its fit takes."""

    @with_gradients
    def estimate_cost(self, X: Any, y: Any) -> Cost:
        """Measure what a fit will take, by its first iterations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples, as for `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; 1 and 0 for each of several labels; or the numbers of a regression.

        Returns
        -------
        Cost
            Parameters of a student, bytes and seconds of an outer iteration, and seconds of the
            fit. The distiller stays as it is.
        """
        return _estimate(clone(self), X, y)


def _estimate(distiller: Any, X: Any, y: Any) -> Cost:
    """Run a few iterations of each phase, and throw them away."""
    distiller._validate_params()
    began = time.monotonic()
    seed = int(check_random_state(distiller.random_state).randint(2**31))
    problem = Problem.from_parameters(distiller, X, y, None, seed, distiller.max_time)
    starts = first_set(problem, None)
    distilled, problem = starts.first, problem.weighing(starts.losses)
    prepared = time.monotonic() - began
    seconds, memory = [], []
    for phase in problem.phases:
        loop = iter(_loop(problem, distilled, phase))
        memory.append(peak_bytes(partial(next, loop), problem.device))
        next(loop, None)  # the second repeats a trace that the first has made
        seconds.append(median(_seconds(loop) for _ in range(_TIMED)) * (phase.end - phase.start))
    each, p = sum(seconds), problem.parameters
    limits = [p.max_time, p.max_iter and prepared + p.max_iter * each]
    whole = min((float(limit) for limit in limits if limit is not None), default=None)
    n_parameters = sum(w.numel() for w in problem.first_weights().values() if w.is_floating_point())
    return Cost(n_parameters, max(memory), each, whole)


def _loop(problem: Problem, distilled: Any, phase: Any) -> OuterLoop:
    return problem.outer_loop(
        distilled, phase.method, phase.objective, problem.training.sample, lambda _: 0.0
    )


def _seconds(loop: Any) -> float:
    began = time.perf_counter()
    next(loop, None)
    return time.perf_counter() - began
