"""What watches a fit while it runs: its progress, its history, its best iterate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from .engine.distilled_set import DistilledSet
from .engine.outer_loop import Iteration

_VALIDATIONS = 25  # times that a fit is validated


class Progress:
    """Report a fit's outer iterations.

    Parameters
    ----------
    verbose : int
        0 is silent, 1 a progress bar with loss, validation score and time left, 2 a line for
        each validation as well.
    max_iter : int
        Iterations of the whole fit.
    done : int
        Those that are done already.
    """

    def __init__(self, verbose: int, max_iter: int, done: int = 0) -> None:
        self.verbose = verbose
        self.bar = tqdm(
            total=max_iter, initial=done, disable=not verbose, desc="distilling", unit="it"
        )
        self.score: float | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def __call__(self, iteration: Iteration, score: float | None, expected: int) -> None:
        """Report one iteration of so many, and the validation score where it was just measured."""
        if not self.verbose:
            return
        shown = {"loss": f"{iteration.loss:.3f}"}
        if score is not None:
            self.score = score
        if self.score is not None:
            shown["val"] = f"{self.score:.3f}"
        self.bar.total = expected
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        if self.verbose > 1 and score is not None:
            self.bar.write(
                f"iteration {iteration.done}: loss {iteration.loss:.4f}, "
                f"validation score {score:.4f}, gradient norm {iteration.gradient_norm:.3g}"
            )


class Monitor:
    """Keep the history of a fit and its best iterate, and say when there is no more progress.

    Parameters
    ----------
    distilled : DistilledSet
        The set that the outer loop improves in place.
    validate : callable or None
        Returns the validation score of the set as it is. With ``None`` the last iterate counts
        as the best.
    max_iter : int
        Iterations to come.
    n_iter_no_change : int or None
        Iterations without a better iterate after which progress has ended.
    """

    def __init__(
        self,
        distilled: DistilledSet,
        validate: Callable[[], float] | None,
        max_iter: int,
        n_iter_no_change: int | None,
    ) -> None:
        self.distilled, self.validate = distilled, validate
        self.n_iter_no_change = n_iter_no_change
        self.every = min(-(-max_iter // _VALIDATIONS), n_iter_no_change or max_iter)
        self.max_iter = max_iter
        self.best, self.best_score = distilled.snapshot(), -math.inf
        self.progress = 0  # the iteration that was last better than all before
        self.done = 0
        self.history: dict[str, list[Any]] = {
            name: [] for name in ("loss", "gradient_norm", "validation_iter", "validation_score")
        }
        self.iteration: Iteration | None = None

    def look(self, iteration: Iteration) -> float | None:
        """Take note of an iteration; return the validation score where it is due."""
        self.iteration, self.done = iteration, self.done + 1
        self.history["loss"].append(iteration.loss)
        self.history["gradient_norm"].append(iteration.gradient_norm)
        if self.validate is None:
            self.best, self.progress = self.distilled.snapshot(), self.done
            return None
        if self.done % self.every and self.done != self.max_iter:
            if not self.history["validation_iter"]:  # until then the last counts as the best
                self.best = self.distilled.snapshot()
            return None
        return self._score(self.validate)

    def close(self) -> None:
        """Look at the last iterate of a fit that ended before ``max_iter``."""
        if self.validate is not None and self.history["validation_iter"][-1:] != [self.done]:
            self._score(self.validate)

    def _score(self, validate: Callable[[], float]) -> float:
        score = validate()
        self.history["validation_iter"].append(self.done)
        self.history["validation_score"].append(score)
        if score >= self.best_score:  # of equals the later one, whose loss is lower
            self.best = self.distilled.snapshot()
        if score > self.best_score:
            self.best_score, self.progress = score, self.done
        return score

    def state_dict(self) -> dict[str, Tensor]:
        """The best iterate so far."""
        return {f"best.{k}": p for k, p in enumerate(self.best)}

    def facts(self) -> dict[str, Any]:
        """All else, as JSON takes it."""
        return {"history": self.history, "progress": self.progress, "best_score": self.best_score}

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from where another fit's monitor stood."""
        device = self.best[0].device
        self.best = [tensors[f"best.{k}"].to(device) for k in range(len(self.best))]
        self.history = facts["history"]
        self.progress, self.best_score = facts["progress"], facts["best_score"]
        self.done = len(self.history["loss"])

    @property
    def sick(self) -> bool:
        """Whether the last iteration had to be undone."""
        return self.iteration is not None and self.iteration.undone > 0

    @property
    def stale(self) -> bool:
        """Whether the best iterate is too long ago."""
        if self.n_iter_no_change is None:
            return False
        return self.done - self.progress >= self.n_iter_no_change
