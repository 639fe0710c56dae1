"""The course of a fit: a search at constant rates, then a finish in which the rates fall to 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SEARCH = 1 / 2  # of a budget; the rest is the finish


class Course:
    """Say how much of the finish is over; an outer loop's rates follow it.

    The search goes on at constant rates until half of the budget is used or nothing gets
    better. The finish takes the rest of the budget or, after a search that ended by itself, as many
    iterations again. It learns from all real samples, because nothing is left to decide that
    samples would have to be held out for.

    Parameters
    ----------
    budget : callable
        Fraction of the budget that is used; always 0 without a limit.
    is_settled : callable
        Whether nothing gets better.
    on_finish : callable
        Called once, between search and finish; says whether there is anything to finish.

    Attributes
    ----------
    finish_from : int or None
        The iterations done when the finish began; None during the search.
    """

    def __init__(
        self,
        budget: Callable[[], float],
        is_settled: Callable[[], bool],
        on_finish: Callable[[], bool],
    ) -> None:
        self.budget, self.is_settled, self.on_finish = budget, is_settled, on_finish
        self.finish_from: int | None = None
        self.used_by_search = 0.0

    def __call__(self, done: int) -> float:
        """Fraction of the finish that is over after ``done`` iterations; 0 during the search."""
        used = min(1.0, self.budget())
        if self.finish_from is None:
            if used < _SEARCH and not self.is_settled():
                return 0.0
            self.finish_from, self.used_by_search = done, used
            if not self.on_finish():
                return 1.0
        left = 1 - self.used_by_search  # of the budget
        in_budget = (used - self.used_by_search) / left if left > 0 else 1.0
        if not self.ended_by_itself:
            return in_budget
        return max(in_budget, (done - self.finish_from) / max(1, self.finish_from))

    @property
    def ended_by_itself(self) -> bool:
        """Whether the search ended before its share of the budget was used."""
        return self.finish_from is not None and self.used_by_search < _SEARCH

    def state(self) -> list[Any]:
        """What a resumed fit needs, as JSON holds it."""
        return [self.finish_from, self.used_by_search]

    def load(self, state: list[Any]) -> None:
        """Continue from there."""
        self.finish_from, self.used_by_search = state
