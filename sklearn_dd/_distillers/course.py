"""The course of a fit: a search at constant rates, then a finish in which the rates fall to 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_SEARCH = 1 / 2  # of a budget; the rest is the finish
# An iterate that is kept says that more would be worse if it is from so early in the search, and if
# so many iterations after it were no better: fewer may be worse by chance.
_EARLY, _FEWEST_AFTER = 1 / 2, 150


class Course:
    """Say how much of the finish is over; an outer loop's rates follow it.

    The search goes on at constant rates until half of the budget is used or nothing gets
    better. The finish takes the rest of the budget. If the search ended by itself, or if an early
    iterate is kept, the finish takes at most as many iterations as led to the iterate
    that is kept: with more, the set would fit the real samples too well again. It learns from all
    of them, because nothing is left to decide that samples would have to be held out for.

    Parameters
    ----------
    budget : callable
        Fraction of the budget that is used; always 0 without a limit.
    is_settled : callable
        Whether nothing gets better.
    on_finish : callable
        Called once, between search and finish; returns the iterations that led to the iterate that
        is kept, 0 if there is nothing to finish.

    Attributes
    ----------
    finish_from : int or None
        The iterations done when the finish began; None during the search.
    search_from : int or None
        The iterations of earlier phases, done when the search began; None before it.
    at_most : float
        The iterations of the finish.
    """

    def __init__(
        self,
        budget: Callable[[], float],
        is_settled: Callable[[], bool],
        on_finish: Callable[[], int],
    ) -> None:
        self.budget, self.is_settled, self.on_finish = budget, is_settled, on_finish
        self.search_from: int | None = None
        self.finish_from: int | None = None
        self.used_by_search, self.at_most = 0.0, math.inf

    def __call__(self, done: int) -> float:
        """Fraction of the finish that is over after ``done`` iterations; 0 during the search."""
        used = min(1.0, self.budget())
        if self.search_from is None:
            self.search_from = done
        if self.finish_from is None:
            if used < _SEARCH and not self.is_settled():
                return 0.0
            self.finish_from, self.used_by_search = done, used
            led_to_it = self.on_finish()
            kept, n = max(0, led_to_it - self.search_from), done - self.search_from
            is_early = kept < _EARLY * n and n - kept >= _FEWEST_AFTER
            if n and (led_to_it == 0 or self.ended_by_itself or is_early):
                self.at_most = kept
        left = 1 - self.used_by_search  # of the budget
        in_budget = (used - self.used_by_search) / left if left > 0 else 1.0
        return max(in_budget, (done - self.finish_from) / self.at_most if self.at_most else 1.0)

    @property
    def ended_by_itself(self) -> bool:
        """Whether the search ended before its share of the budget was used."""
        return self.finish_from is not None and self.used_by_search < _SEARCH

    def state(self) -> list[Any]:
        """What a resumed fit needs, as JSON holds it."""
        return [self.search_from, self.finish_from, self.used_by_search, self.at_most]

    def load(self, state: list[Any]) -> None:
        """Continue from there."""
        self.search_from, self.finish_from, self.used_by_search, self.at_most = state
