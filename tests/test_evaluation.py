"""How well students do that were trained on distilled data alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_dd import (
    MLP,
    ConvNet,
    xavier_normal,
)

from .helpers import (
    Wide,
    net,
    tiny,
    tiny_for_images,
)


def test_evaluate_returns_mean_std_and_the_accuracy_after_each_step(fitted, table):
    found = fitted.evaluate(*table, n_inits=5, each_step=True)
    assert found.scores.shape == (5,)
    assert found.step_scores.shape == (3 * 2 + 1, 5)
    assert_array_equal(found.step_scores[-1], found.scores)
    assert found.mean == pytest.approx(found.scores.mean())
    assert found.std == pytest.approx(found.scores.std())
    assert isinstance(found.mean, float)
    assert found.step_scores[0].mean() < found.mean, "students learn"


def test_scoring_at_the_end_alone_changes_no_score(fitted, table):
    whole = fitted.evaluate(*table, n_inits=5, each_step=True)
    end = fitted.evaluate(*table, n_inits=5)
    assert_array_equal(end.scores, whole.scores)
    assert_array_equal(end.step_scores, whole.step_scores[-1:])


def test_another_number_of_epochs(fitted, table):
    learned = fitted.evaluate(*table, n_inits=3, each_step=True).step_scores
    fewer = fitted.evaluate(*table, n_inits=3, n_epochs=1, each_step=True).step_scores
    more = fitted.evaluate(*table, n_inits=3, n_epochs=5, each_step=True).step_scores
    n_steps = fitted.n_steps
    assert_array_equal(fewer, learned[: n_steps + 1])
    assert_array_equal(more[: len(learned)], learned)
    assert len(more) == 5 * n_steps + 1
    # The step sizes of the last epoch hold.
    longer = copy.copy(fitted)
    longer.lrs_ = np.concatenate([fitted.lrs_, *[fitted.lrs_[-1:]] * (5 - len(fitted.lrs_))])
    assert_array_equal(longer.evaluate(*table, n_inits=3, each_step=True).step_scores, more)


def test_by_default_20_students_are_scored_at_the_end(fitted, table):
    found = fitted.evaluate(*table)
    assert found.scores.shape == (20,)
    assert found.step_scores.shape == (1, 20)
    assert len(np.unique(found.scores)) > 5, "they are 20 different ones"


def test_evaluate_is_reproducible_and_its_seed_can_be_chosen(fitted, table):
    def evaluate(**options):
        return fitted.evaluate(*table, n_inits=6, **options, each_step=True).step_scores

    assert_array_equal(evaluate(), evaluate())
    assert_array_equal(evaluate(random_state=1), evaluate(random_state=1))
    assert not np.array_equal(evaluate(random_state=1), evaluate(random_state=2))
    assert not np.array_equal(evaluate(), evaluate(random_state=2))


def test_evaluate_another_architecture(images):
    X, y = images
    distiller = tiny_for_images().fit(X, y)
    for student in (MLP, net(MLP, 5), ConvNet):
        found = distiller.evaluate(X, y, n_inits=3, student=student, each_step=True)
        assert found.step_scores.shape == (4, 3)
    for init in ("fixed", [distiller.student_]):  # nobody knows another architecture's net
        known = tiny_for_images(init=init).fit(X, y)
        assert known.evaluate(X, y, n_inits=3, student=MLP).scores.shape == (3,)


def test_evaluate_another_prior(fitted, table):
    own = fitted.evaluate(*table, n_inits=4, each_step=True).step_scores
    assert_array_equal(
        fitted.evaluate(*table, n_inits=4, init="random", each_step=True).step_scores, own
    )
    other = fitted.evaluate(*table, n_inits=4, init=xavier_normal, each_step=True).step_scores
    assert other.shape == own.shape
    assert not np.array_equal(other, own)
    assert fitted.evaluate(*table, n_inits=4, init="fixed").scores.shape == (1,)
    assert fitted.evaluate(*table, init=[fitted.student_]).scores.shape == (1,)


def test_evaluate_leaves_the_distiller_as_it_is(fitted, table):
    before = {name: id(value) for name, value in vars(fitted).items()}
    fitted.evaluate(*table, n_inits=2, student=Wide, init=xavier_normal, random_state=0)
    assert {name: id(value) for name, value in vars(fitted).items()} == before


def test_evaluate_measures_what_was_fitted(table):
    distiller = tiny(init="fixed").fit(*table)
    before = distiller.evaluate(*table, each_step=True)
    distiller.set_params(student=net(width=3), init="random")
    assert_array_equal(distiller.evaluate(*table, each_step=True).step_scores, before.step_scores)


@pytest.mark.parametrize("n_inits", [0, -1, 1.5, "20"])
def test_evaluate_no_students(table, fitted, n_inits):
    with pytest.raises((TypeError, ValueError), match="n_inits"):
        fitted.evaluate(*table, n_inits=n_inits)
