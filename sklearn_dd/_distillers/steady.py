"""Step sizes with which no student diverges."""

from __future__ import annotations

import math

from .._engine import DistilledSet
from .look import affordable, looker
from .problem import Problem

_FACTORS = (1.0, 0.85, 0.7, 0.5)  # of the step sizes, from which the best is taken in the end,
_FEWEST, _MOST, _SHARE = 12, 64, 1 / 50  # by as many students as a share of the budget allows,
_TOO_FEW = 3  # or by none
_MAX_ROWS = 500  # that they are scored on


def steady(problem: Problem, distilled: DistilledSet) -> None:
    """Shorten all step sizes if the mean student then learns better.

    An outer loop lengthens steps until a few students in a hundred diverge, too few for it to
    notice.
    """
    rows = problem.everything.rows
    n = affordable(problem, distilled, _SHARE, _MAX_ROWS) // len(_FACTORS)
    if n < _TOO_FEW:
        return
    look = looker(problem, distilled, rows, max(_FEWEST, min(_MOST, n)), _MAX_ROWS)
    if look is None:
        return
    end, found = distilled.snapshot(), []
    for factor in _FACTORS:
        distilled.restore(end)
        distilled.scale_step_sizes(factor)
        found.append(float(look().losses.mean().nan_to_num(math.inf)))
    distilled.restore(end)
    best = found.index(min(found))
    if best:  # 1 is left as it is, to the bit
        distilled.scale_step_sizes(_FACTORS[best])
