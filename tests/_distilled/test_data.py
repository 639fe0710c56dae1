"""Distilled data: a triple that students are trained on."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_dd import (
    MLP,
    DistilledData,
    load_distilled,
    save_distilled,
)

from ..helpers import (
    assert_same_triple,
    tiny,
)


def test_transform_returns_a_named_triple_of_copies(fitted):
    distilled = fitted.transform()
    assert isinstance(distilled, DistilledData)
    X_syn, y_syn, lrs = distilled
    assert X_syn is distilled.X
    assert y_syn is distilled.y
    assert lrs is distilled.lrs
    before = X_syn.copy(), y_syn.copy(), lrs.copy()
    for a in distilled:
        a[...] = 0
    for a, b in zip(fitted.transform(), before, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d)), lambda d: d._replace()],
    ids=["copy", "deepcopy", "pickle", "replace"],
)
def test_a_copy_of_distilled_data_can_still_be_trained_on(fitted, table, duplicate):
    X, _ = table
    duplicated = duplicate(fitted.transform())
    assert_same_triple(duplicated, fitted.transform())
    assert_array_equal(
        duplicated.train(random_state=0).predict_proba(X),
        fitted.transform().train(random_state=0).predict_proba(X),
    )


def test_training_takes_a_seed(fitted, table):
    X, _ = table
    data = fitted.transform()
    first = data.train(random_state=1).predict_proba(X)
    assert_array_equal(data.train(random_state=1).predict_proba(X), first)
    assert not np.array_equal(data.train(random_state=2).predict_proba(X), first)


def test_train_takes_the_student_that_the_data_were_made_for(images):
    X, y = images
    distiller = tiny(student=MLP, init="fixed").fit(X, y)
    student = distiller.transform().train()
    assert isinstance(student.module_.net, MLP)
    assert_array_equal(student.predict_proba(X), distiller.predict_proba(X))


def test_data_without_a_recipe(fitted, path):
    bare = DistilledData(*fitted.transform())
    with pytest.raises(ValueError, match=r"no recipe.*take it from DatasetDistiller\.transform"):
        bare.train()
    with pytest.raises(ValueError, match=r"no recipe.*take it from DatasetDistiller\.transform"):
        save_distilled(path, bare)
    assert not path.exists()


def test_a_warning_points_at_the_line_that_it_is_about(table, tmp_path):
    X, y = table
    save_distilled(tmp_path / "d.safetensors", tiny(init="fixed").fit(X, y))
    loaded = load_distilled(tmp_path / "d.safetensors")
    for warns in (lambda: loaded.train(MLP), lambda: tiny(max_iter=1).fit(X + 1e8, y)):
        with pytest.warns(UserWarning, match=r"Pass the same|Subtract the mean") as caught:
            warns()
        assert caught[0].filename == __file__
