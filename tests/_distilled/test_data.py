"""Distilled data: a triple that students are trained on."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_dd import (
    MLP,
    DistilledData,
    RandomSamples,
    load_distilled,
    save_distilled,
    xavier_normal,
)

from ..helpers import (
    Wide,
    assert_same_triple,
    small_baseline,
    tiny,
    tiny_for_images,
    tiny_regressor,
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


def assert_same_evaluation(one, other):
    assert one.mean == other.mean
    assert one.std == other.std
    assert_array_equal(one.scores, other.scores)
    assert_array_equal(one.step_scores, other.step_scores)


OPTIONS = {
    "default": {},
    "each step": {"each_step": True, "n_inits": 3},
    "epochs": {"n_epochs": 5, "n_inits": 3},
    "seed": {"random_state": 3, "n_inits": 3},
    "scoring": {"scoring": "f1_macro", "n_inits": 3},
    "init": {"init": xavier_normal, "n_inits": 3},
    "student": {"student": MLP, "n_inits": 3},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_receiver_of_a_file_scores_it_as_its_maker_did(fitted, whole, table, path, options):
    own = fitted.evaluate(*table, **OPTIONS[options])
    assert own.step_scores.any()
    assert_same_evaluation(fitted.transform().evaluate(*table, **OPTIONS[options]), own)
    # A file does not hold the class of the student.
    changes = {"student": fitted.student} | OPTIONS[options]
    assert_same_evaluation(load_distilled(path).evaluate(*table, **changes), own)


SAVED = {
    "regression": (tiny_regressor, {}),
    "fixed": (tiny, {"init": "fixed"}),
    "soft": (tiny, {"labels": "soft"}),
    "images": (tiny_for_images, {"n_per_class": 2}),
    "baseline": (lambda **options: small_baseline(RandomSamples, **options), {}),
}


@pytest.mark.parametrize("case", SAVED)
def test_files_of_all_kinds_can_be_scored(table, images, path, case):
    make, changes = SAVED[case]
    X, y = images if case == "images" else table
    distiller = make(**changes).fit(X, y)
    save_distilled(path, distiller)
    own, received = (
        data.evaluate(X, y, n_inits=3, student=distiller.student)
        for data in (distiller, load_distilled(path))
    )
    assert_same_evaluation(received, own)


def test_data_are_scored_on_samples_of_their_own_shape_alone(fitted, table, images):
    X, y = table
    data = fitted.transform()
    with pytest.raises(ValueError, match=r"X has 5 features, but the distilled data have 13"):
        data.evaluate(X[:, :5], y)
    with pytest.raises(ValueError, match=r"y must have a label for each sample, 178, but has 177"):
        data.evaluate(X, y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        data.evaluate(X * np.nan, y)
    colours = np.stack([images[0]] * 3, axis=-1)
    data = tiny_for_images().fit_transform(colours, images[1])
    with pytest.raises(ValueError, match=r"shape \(3, 8, 8\), but DistilledData is .*\(8, 8, 3\)"):
        data.evaluate(np.moveaxis(colours, -1, 1), images[1])


def test_data_leave_gradients_as_they_are(fitted, table):
    with torch.no_grad():
        inside = fitted.transform().evaluate(*table, n_inits=3)
        assert not torch.is_grad_enabled()
    assert_same_evaluation(inside, fitted.evaluate(*table, n_inits=3))


def test_a_distiller_in_the_middle_of_a_pipeline_says_what_to_do(table):
    X, y = table
    pipeline = make_pipeline(StandardScaler(), tiny(), LogisticRegression())
    with pytest.raises(TypeError, match=r"distiller must be the last step.*pipe\[-1\]\.transform"):
        pipeline.fit(X, y)
    with pytest.raises(TypeError, match=r"not one array"):
        np.asarray(tiny().fit_transform(X, y))
    # What it says to do works.
    X_syn, y_syn, _ = make_pipeline(StandardScaler(), tiny()).fit(X, y)[-1].transform()
    assert LogisticRegression().fit(X_syn, y_syn).score(StandardScaler().fit_transform(X), y) > 0.5


def test_who_evaluates_a_file_is_warned_as_who_trains_on_it_is(table, tmp_path):
    save_distilled(tmp_path / "d", tiny(student=Wide).fit(*table))  # of which a file holds the name
    loaded = load_distilled(tmp_path / "d")
    with pytest.warns(UserWarning, match="Pass the same student"):
        loaded.train()
    with pytest.warns(UserWarning, match="Pass the same student"):
        loaded.evaluate(*table, n_inits=1)
