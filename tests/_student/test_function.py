"""A student as a pure function: several at once, and accelerated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd._engine import (
    Stream,
    draw,
)
from sklearn_dd._student import replay_student, weight_prior

from ..helpers import (
    OneAtATime,
    Wide,
    tiny,
    tiny_for_images,
)


def test_a_student_that_vmap_refuses_learns_the_same(table):
    X, y = table
    together, in_turn = (tiny(student=student).fit(X, y) for student in (Wide, OneAtATime))
    assert_allclose(in_turn.transform().X, together.transform().X, rtol=1e-3)
    assert_allclose(
        in_turn.evaluate(X, y, n_inits=3, each_step=True).step_scores,
        together.evaluate(X, y, n_inits=3, each_step=True).step_scores,
        atol=0.02,
    )


@pytest.mark.parametrize("make", [tiny, tiny_for_images], ids=["table", "images"])
def test_students_at_once_do_as_one_after_the_other(table, images, make):
    X, y = table if make is tiny else images
    distiller = make(n_per_class=2, n_steps=2).fit(X, y)
    together = distiller.evaluate(X, y, n_inits=4)
    recipe = distiller.recipe_
    spec = recipe.spec()
    prior = weight_prior("random", spec, distiller.seed_)
    starts = draw(prior, range(4), distiller.seed_, Stream.EVALUATE)
    data = distiller.transform()
    for i, score in enumerate(together.scores):
        student = replay_student(
            spec, {n: p[i] for n, p in starts.items()}, recipe.units, recipe.targets, *data,
            torch.device("cpu"),
        )  # fmt: skip
        assert score == pytest.approx(np.mean(student.predict(X) == y))
    assert_array_equal(distiller.evaluate(X, y, n_inits=2).scores, together.scores[:2])
