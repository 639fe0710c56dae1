"""The course of a fit: a search at constant rates, then a finish in which they fall to 0."""

from __future__ import annotations

import json

import pytest
import torch

from sklearn_dd._distillers.course import Course

from ..helpers import Watched, tiny


class Budget:
    """A limit of ``n`` iterations, and a monitor that is settled after ``settled`` of them.

    It keeps the iterate ``kept``, by default the last one.
    """

    def __init__(self, n=None, settled=None, kept=None):
        self.n, self.settled, self.kept, self.done, self.n_finishes = n, settled, kept, 0, 0

    def course(self):
        return Course(
            lambda: self.done / self.n if self.n else 0.0,
            lambda: self.settled is not None and self.done >= self.settled,
            self.finish,
        )

    def finish(self):
        self.n_finishes += 1
        return self.done if self.kept is None else self.kept

    def run(self, course, n=100):
        """Fractions of the finish that are over before each iteration, until the end."""
        found = []
        while len(found) < n:
            found.append(course(self.done))
            if found[-1] >= 1:
                break
            self.done += 1
        return found


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [0, 1]),
        (2, [0, 0, 1]),
        (3, [0, 0, 0, 1]),
        (4, [0, 0, 0, 1 / 2, 1]),
        (6, [0, 0, 0, 0, 1 / 3, 2 / 3, 1]),
        (9, [0, 0, 0, 0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1]),
    ],
)
def test_half_of_the_iterations_search_and_the_rest_finishes(n, expected):
    budget = Budget(n)
    course = budget.course()
    assert budget.run(course) == pytest.approx(expected)
    assert course.finish_from == (n + 1) // 2
    assert budget.n_finishes == 1
    assert not course.ended_by_itself


def test_a_search_that_ends_by_itself_is_finished_in_as_many_iterations():
    budget = Budget(settled=4)
    course = budget.course()
    assert budget.run(course) == [0, 0, 0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1]
    assert course.finish_from == 4
    assert course.ended_by_itself


def test_a_finish_takes_no_more_than_its_limit():
    """Of 10 iterations 4 are searched; of the 6 that are left, 4 are finished."""
    budget = Budget(10, settled=4)
    found = budget.run(budget.course())
    assert found == [0, 0, 0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1]
    late = Budget(10, settled=5)  # which the limit ends at the same time
    course = late.course()
    assert len(late.run(course)) == 11
    assert not course.ended_by_itself


def test_without_a_limit_a_search_goes_on_until_nothing_gets_better():
    assert Budget().run(Budget().course(), 50) == [0] * 50


def test_the_finish_is_no_longer_than_the_way_to_the_iterate_that_is_kept():
    """With more iterations, it would fit the real samples too well again."""
    budget = Budget(400, kept=2)
    assert budget.run(budget.course(), 500) == [0] * 201 + [1 / 2, 1]


def test_iterations_of_earlier_phases_do_not_count():
    budget = Budget(600, kept=102)
    budget.done = 100
    assert budget.run(budget.course(), 900) == [0] * 201 + [1 / 2, 1]


@pytest.mark.parametrize(("n", "kept"), [(20, 2), (400, 100)])
def test_after_a_late_iterate_the_finish_takes_the_rest_of_the_budget(n, kept):
    """In a short search, or late in a long one, an iterate is better by chance."""
    budget, half = Budget(n, kept=kept), n // 2
    found = [0] * (half + 1) + [k / half for k in range(1, half + 1)]
    assert budget.run(budget.course(), 500) == pytest.approx(found)


@pytest.mark.parametrize("budget", [Budget(10, kept=0), Budget(settled=3, kept=0)])
def test_where_there_is_nothing_to_finish_the_fit_ends(budget):
    found = budget.run(budget.course())
    assert found[-1] == 1
    assert set(found[:-1]) == {0}


def test_a_budget_that_is_used_before_the_first_iteration_ends_the_fit():
    budget = Budget(1)
    budget.done = 5  # such as a time limit that the preparations took
    assert budget.run(budget.course()) == [1]


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("settled", [None, 3])
def test_a_course_continues_from_its_state(after, settled):
    expected = Budget(9, settled)
    wanted = expected.run(expected.course())
    first = Budget(9, settled)
    course = first.course()
    begun = first.run(course, after)
    again = first.course()
    again.load(json.loads(json.dumps(course.state())))
    assert begun + first.run(again) == wanted
    assert first.n_finishes == expected.n_finishes == 1


@pytest.mark.parametrize(("n", "search"), [(3, 2), (6, 3), (9, 5)])
def test_rates_are_constant_in_the_search_and_fall_along_a_cosine(table, n, search):
    """Adam's first step has the length of its rate; a gradient that is always 1 keeps it."""

    def ones(call, found):
        return found._replace(
            x=torch.ones_like(found.x), lrs=torch.zeros_like(found.lrs), loss=found.loss
        )

    method = Watched(ones)
    settings = {"outer_lr": 1e-3, "step_size_rate": 0, "validation_fraction": 0, "max_iter": n}
    fitted = tiny(method=method, **settings).fit(*table)
    assert fitted.n_iter_ == n
    x = torch.stack([x for x, _, _ in method.seen]).flatten(1)[:, 0]
    steps = -x.diff().double() / 1e-3
    finished = torch.arange(n - 1).sub(search).clamp(min=0) / (n - search)
    expected = 0.5 * (1 + torch.cos(torch.pi * finished))
    torch.testing.assert_close(steps, expected.double(), atol=1e-3, rtol=0)
