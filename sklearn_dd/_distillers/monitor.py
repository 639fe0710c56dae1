"""The history of a fit, its best iterate, and whether patience has run out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from .._engine import DistilledSet, Iteration

_VALIDATIONS = 25  # of a fit


class Monitor:
    """Keep the history of a fit and its best iterate, and say when to stop.

    Parameters
    ----------
    distilled : DistilledSet
        The set that the outer loop improves in place.
    validate : callable or None
        Returns the validation score of the set as it is. With ``None`` the last iterate counts as
        the best.
    max_iter : int
        Iterations of the whole fit.
    n_iter_no_change : int or None
        Patience: iterations without a better iterate after which the fit stops.
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
        self.best_iter = 0  # the last iteration that was better than all before it
        self.done = 0
        self.history: dict[str, list[Any]] = {
            name: [] for name in ("loss", "gradient_norm", "validation_iter", "validation_score")
        }
        self.n_rejected = 0

    def update(self, iteration: Iteration) -> float | None:
        """Record an iteration; return the validation score where it is due."""
        self.done += 1
        self.n_rejected = iteration.n_rejected
        self.history["loss"].append(iteration.loss)
        self.history["gradient_norm"].append(iteration.gradient_norm)
        if self.validate is None:
            self.best, self.best_iter = self.distilled.snapshot(), self.done
            return None
        if self.done % self.every and self.done != self.max_iter:
            if not self.history["validation_iter"]:  # until then the last counts as the best
                self.best = self.distilled.snapshot()
            return None
        return self._score(self.validate)

    def close(self) -> None:
        """Score the last iterate of a fit that ended before ``max_iter``."""
        if self.validate is None or self.out_of_patience:
            return
        if self.history["validation_iter"][-1:] != [self.done]:
            self._score(self.validate)

    def _score(self, validate: Callable[[], float]) -> float:
        score = validate()
        self.history["validation_iter"].append(self.done)
        self.history["validation_score"].append(score)
        if score >= self.best_score:  # among equals the later one, whose loss is lower
            self.best = self.distilled.snapshot()
        if score > self.best_score:
            self.best_score, self.best_iter = score, self.done
        return score

    @property
    def out_of_patience(self) -> bool:
        """Whether the best iterate was found too long ago."""
        if self.n_iter_no_change is None:
            return False
        return self.done - self.best_iter >= self.n_iter_no_change

    def state_dict(self) -> dict[str, Tensor]:
        """The best iterate so far."""
        return {f"best.{k}": p for k, p in enumerate(self.best)}

    def metadata(self) -> dict[str, Any]:
        """The rest of the state, which JSON can hold; its names are those of the file."""
        return {"history": self.history, "progress": self.best_iter, "best_score": self.best_score}

    def load(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from the state of another monitor."""
        device = self.best[0].device
        self.best = [tensors[f"best.{k}"].to(device) for k in range(len(self.best))]
        self.history = metadata["history"]
        self.best_iter, self.best_score = metadata["progress"], metadata["best_score"]
        self.done = len(self.history["loss"])
