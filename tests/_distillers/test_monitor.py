"""The best iterate is kept, and a fit ends when nothing gets better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from ..helpers import (
    FROZEN,
    Watched,
    interrupt_after,
    scaled,
    standardised,
    tiny,
)


def there_and_away(call, hypergradient):
    """Follow the gradient for a while, then go against it."""
    return scaled(hypergradient, 1 if call < 8 else -1)


def test_the_best_iterate_on_the_held_out_part_is_kept(table):
    method = Watched(there_and_away)
    distiller = tiny(
        method=method, max_iter=25, outer_lr=0.3, validation_fraction=0.3, data_init="noise"
    ).fit(*table)
    scores = distiller.history_["validation_score"]
    assert distiller.history_["validation_iter"] == list(range(1, 26))
    best = max(scores)
    assert scores[-1] < best, "the last iterate must not be the best, or this shows nothing"
    # Call i of the method is given the iterate after i iterations.
    candidates = [method.seen[i + 1] for i, s in enumerate(scores[:-1]) if s == best]
    found = standardised(distiller, distiller.transform().X)
    assert any(
        torch.allclose(found, x.flatten(0, 1), atol=1e-4)
        and np.allclose(distiller.lrs_, lrs, atol=1e-6)
        for x, _, lrs in candidates
    )


def test_without_a_held_out_part_the_last_iterate_is_kept(table):
    method = Watched()
    distiller = tiny(method=method, max_iter=5, validation_fraction=0, outer_lr=0.3).fit(*table)
    assert distiller.history_["validation_score"] == []
    shorter = tiny(method=Watched(), max_iter=5, validation_fraction=0, outer_lr=0.3)
    shorter.method.act = lambda call, h: interrupt_after(4)(call, h)
    with pytest.warns(UserWarning, match="Interrupted"):
        shorter.fit(*table)
    found = standardised(shorter, shorter.transform().X)
    assert_allclose(found, method.seen[4][0].flatten(0, 1), atol=1e-4)
    assert not np.allclose(shorter.X_syn_, distiller.X_syn_)


def no_progress(call, hypergradient):
    return scaled(hypergradient, 0.0)


def test_a_fit_that_gets_no_better_ends_early(table):
    distiller = tiny(method=Watched(no_progress), max_iter=25, n_iter_no_change=4).fit(*table)
    assert distiller.n_iter_ == 1 + 4
    assert len(distiller.history_["loss"]) == 5
    patient = tiny(method=Watched(no_progress), max_iter=25, n_iter_no_change=None).fit(*table)
    assert patient.n_iter_ == 25


def test_no_change_is_looked_for_as_often_as_it_is_asked_for(table):
    distiller = tiny(max_iter=100, n_iter_no_change=2).fit(*table)
    assert distiller.history_["validation_iter"][0] <= 2


def test_ctrl_c_keeps_the_best_iterate_so_far(table):
    X, y = table
    distiller = tiny(method=Watched(interrupt_after(6)), max_iter=20, outer_lr=0.3)
    with pytest.warns(UserWarning, match="[Ii]nterrupted.*best iterate"):
        distiller.fit(X, y)
    assert distiller.n_iter_ == 6
    scores = distiller.history_["validation_score"]
    assert len(scores) == 6
    found = standardised(distiller, distiller.transform().X)
    iterates = [x.flatten(0, 1) for x, _, _ in distiller.method.seen[1:]]
    assert any(
        torch.allclose(found, x, atol=1e-4)
        for x, s in zip(iterates, scores, strict=True)
        if s == max(scores)
    )
    assert distiller.predict(X).shape == y.shape


def test_ctrl_c_before_the_first_iteration_keeps_the_start(table):
    distiller = tiny(method=Watched(interrupt_after(0)), validation_fraction=0.0)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    start = tiny(**FROZEN).fit(*table)
    assert distiller.n_iter_ == 0
    assert_allclose(distiller.transform().X, start.transform().X, rtol=1e-4)


def test_ctrl_c_before_the_first_validation_keeps_what_was_learned(table):
    # Of 1,000 iterations only every 40th is validated.
    distiller = tiny(method=Watched(interrupt_after(10)), max_iter=1000, outer_lr=0.3)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    found = standardised(distiller, distiller.transform().X)
    assert not torch.allclose(found, distiller.method.seen[0][0].flatten(0, 1), atol=1e-2)


def test_a_fit_that_is_no_longer_finite_ends_with_its_best_iterate(table):
    X, y = table
    method = Watched(lambda call, h: scaled(h, 1 if call < 4 else np.nan))
    distiller = tiny(method=method, max_iter=25)
    with pytest.warns(RuntimeWarning, match="not finite.*Lower distill_lr or outer_lr"):
        distiller.fit(X, y)
    assert distiller.n_iter_ < 25
    assert np.isfinite(distiller.transform().X).all()
    assert np.isfinite(distiller.transform().lrs).all()
    assert np.isfinite(distiller.predict_proba(X)).all()


def test_a_fit_recovers_from_a_few_iterations_that_are_not_finite(table, recwarn):
    method = Watched(lambda call, h: scaled(h, np.nan if call in (2, 3) else 1))
    distiller = tiny(method=method, max_iter=10).fit(*table)
    assert distiller.n_iter_ == 10
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
