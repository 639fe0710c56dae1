"""A fit ends in time, and continues where it was ended."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from torch import Tensor, nn

from sklearn_dd._distillers import steady
from sklearn_dd._distillers.phases import METHODS

from ..helpers import (
    Watched,
    assert_same_fit,
    assert_same_triple,
    killed,
    scaled,
    tiny,
    tiny_for_images,
)


@pytest.mark.parametrize("after", [2, 3, 5])
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_fit_continues_to_the_same_result(table, tmp_path, monkeypatch, method, after):
    def make(**changes):
        return tiny(max_iter=6, method=method, labels="soft", **changes)

    whole = make().fit(*table)
    killed(make, *table, tmp_path / "c", after, monkeypatch)
    assert_same_fit(make().fit(*table, resume_from=tmp_path / "c"), whole)


def test_also_under_augmentation(images, tmp_path, monkeypatch):
    def make(**changes):
        return tiny_for_images(max_iter=6, method="ridge", augment="dsa", **changes)

    whole = make().fit(*images)
    killed(make, *images, tmp_path / "c", 2, monkeypatch)
    assert_same_fit(make().fit(*images, resume_from=tmp_path / "c"), whole)


def test_also_with_loops_drawn_at_random(table, tmp_path, monkeypatch):
    def make(**changes):
        return tiny(max_iter=6, training_loop="any", labels="free", **changes)

    whole = make().fit(*table)
    killed(make, *table, tmp_path / "c", 3, monkeypatch)
    assert_same_fit(make().fit(*table, resume_from=tmp_path / "c"), whole)


def test_also_where_the_seed_was_drawn(table, tmp_path):
    whole = tiny(max_iter=4, random_state=None, checkpoint=tmp_path / "c", checkpoint_every=3)
    whole.fit(*table)
    again = tiny(max_iter=4, random_state=None).fit(*table, resume_from=tmp_path / "c")
    assert_same_fit(again, whole)


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_without_progress_ends_where_it_ended(seed, table, tmp_path):
    patience = {"n_iter_no_change": 1, "max_iter": 60, "n_epochs": 2, "random_state": seed}
    whole = tiny(checkpoint=tmp_path / "c", checkpoint_every=1, **patience).fit(*table)
    assert_same_fit(tiny(**patience).fit(*table, resume_from=tmp_path / "c"), whole)


class Silent(nn.Linear):
    """A student whose outputs do not depend on the sample."""

    def __init__(self) -> None:
        super().__init__(13, 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 0)


def test_steps_are_shortened_while_students_learn_nothing(table):
    """By a quarter after a look; the method changes nothing here."""
    method = Watched(lambda call, found: scaled(found, 0.0))
    with pytest.warns(UserWarning, match="learn nothing"):
        tiny(student=Silent, method=method, max_iter=6).fit(*table)
    found = [float(lrs[0, 0]) for _, _, lrs in method.seen[:2]]
    assert found == pytest.approx([0.3, 0.3 * 0.75], rel=1e-4)


@pytest.mark.parametrize("n", [None, 4 * steady._TOO_FEW - 1], ids=["enough", "too few"])
def test_step_sizes_are_shortened_in_the_end_where_students_then_learn_better(
    table, n, monkeypatch
):
    """Steps that are far too long, and a method that leaves them so; ``n`` students in the time."""
    if n is not None:
        monkeypatch.setattr(steady, "affordable", lambda *_: n)
    method = Watched(lambda call, found: scaled(found, 0.0))
    settings = {"method": method, "validation_fraction": 0, "n_epochs": 20, "outer_lr": 1e-9}
    long, short = (tiny(distill_lr=lr, **settings).fit(*table).lrs_ for lr in (5.0, 0.01))
    assert_allclose(long, 5.0 * (min(steady._FACTORS) if n is None else 1), rtol=1e-4)
    assert_allclose(short, 0.01, rtol=1e-4)


def test_a_fit_that_ended_not_finite_ends_so_again(table, tmp_path):
    def make() -> Any:
        method = Watched(lambda call, found: scaled(found, 1 if call < 4 else np.nan))
        return tiny(method=method, max_iter=25, checkpoint=tmp_path / "c", checkpoint_every=1)

    with pytest.warns(RuntimeWarning, match="not finite"):
        whole = make().fit(*table)
    again = make().fit(*table, resume_from=tmp_path / "c")
    assert_same_triple(again.transform(), whole.transform())
    assert again.stop_reason_ == whole.stop_reason_ == "not finite"


def test_also_before_the_first_look(table, tmp_path, monkeypatch):
    def make(**changes):
        return tiny(max_iter=100, validation_fraction=0, **changes)

    whole = make().fit(*table)
    killed(make, *table, tmp_path / "c", 3, monkeypatch)
    assert_same_fit(make().fit(*table, resume_from=tmp_path / "c"), whole)


@pytest.mark.system
def test_it_ends_in_time(table):
    start = time.monotonic()
    distiller = tiny(max_iter=10**6, max_time=1.0).fit(*table)
    assert time.monotonic() - start < 5
    assert 1 < distiller.n_iter_ < 10**6


def test_enough_time_changes_nothing(table):
    assert_same_fit(tiny(max_time=1e9).fit(*table), tiny().fit(*table))


def test_time_already_spent_counts(table, tmp_path):
    tiny(max_iter=50, checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    again = tiny(max_iter=50, max_time=1e-9).fit(*table, resume_from=tmp_path / "c")
    assert again.n_iter_ == 50
