"""A class of the user's own becomes a student."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC

from sklearn_dd import DatasetDistiller, load_distilled, register_counterpart, save_distilled
from sklearn_dd._engine import counterparts as of
from sklearn_dd._student.models import COUNTERPARTS


class Means(NearestCentroid):
    """Known by its parent; a counterpart of its own comes first."""


class Halves(of.NearestCentroid):
    """Only the first half of the features."""

    def __call__(self, x, y, new, generator):
        n = x.shape[1] // 2
        return super().__call__(x[:, :n], y, new[:, :n], generator)


@pytest.fixture
def registered(monkeypatch):
    known = dict(COUNTERPARTS)
    for module in ("models", "several"):
        monkeypatch.setattr(f"sklearn_dd._student.{module}.COUNTERPARTS", known)
    made = []
    register_counterpart(Means, lambda model, n_outputs: made.append(n_outputs) or Halves())
    return made


def test_its_counterpart_is_what_learns(table, registered):
    X, y = table
    settings = {"data_init": "mean", "validation_fraction": 0, "random_state": 0}
    start, found = (
        DatasetDistiller(student=Means(), **settings, max_iter=n, outer_lr=lr).fit(X, y).X_syn_
        for n, lr in ((1, 1e-9), (30, 0.05))
    )
    assert registered == [3, 3]
    moved = np.abs(found - start).max(0) > 1e-6
    assert moved[:6].any()
    assert not moved[6:].any()


def test_a_subclass_counts_as_its_parent(table):
    class Machine(SVC):
        pass

    distiller = DatasetDistiller(student=Machine(), max_iter=3, random_state=0).fit(*table)
    assert isinstance(distiller.student_[-1], Machine)


def test_a_file_names_it(table, registered, tmp_path):
    distiller = DatasetDistiller(student=Means(), max_iter=3, random_state=0).fit(*table)
    save_distilled(tmp_path / "means.safetensors", distiller)
    fitted = load_distilled(tmp_path / "means.safetensors").train()
    assert isinstance(fitted[-1], Means)
    assert fitted.score(*table) > 0.5


@pytest.mark.parametrize(
    ("kind", "make", "message"),
    [
        (SVC(), lambda *_: None, "must be a class of scikit-learn estimators"),
        (int, lambda *_: None, "must be a class of scikit-learn estimators"),
        (SVC, None, "must be callable"),
    ],
)
def test_what_cannot_be_registered_is_named(kind, make, message):
    with pytest.raises(TypeError, match=message):
        register_counterpart(kind, make)
