"""Distilled data on disk."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.numpy import load_file, save_file

from sklearn_dd import (
    MLP,
    DistilledData,
    load_distilled,
    save_distilled,
)
from sklearn_dd._engine import (
    SGD,
)

from ..helpers import (
    LAYOUTS,
    assert_same_triple,
    file_metadata,
    net,
    tiny,
    tiny_for_images,
)

CASES = {
    "table": (tiny, {"n_per_class": 2, "n_steps": 2}, None),
    "standardize=False": (tiny, {"standardize": False}, None),
    "soft labels": (tiny, {"labels": "soft"}, None),
    "free labels": (tiny, {"labels": "free", "outer_lr": 0.2}, None),
    "strings": (tiny, {}, np.array(["red", "rosé", "white"])),
    "strings in objects": (tiny, {}, np.array(["red", "rosé", "white"], dtype=object)),
    "other integers": (tiny, {}, np.array([-3, 7, 1000], dtype=np.int16)),
    "dict": (tiny, {"n_per_class": {0: 1, 1: 3, 2: 2}}, None),
    "fixed": (tiny, {"init": "fixed"}, None),
    "images": (tiny_for_images, {"n_per_class": 2}, None),
    "fixed and images": (tiny_for_images, {"init": "fixed"}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_loaded_is_what_was_saved(table, images, path, case):
    make, changes, names = CASES[case]
    X, y = table if make is tiny else (LAYOUTS["colours last"][0](images[0]), images[1])
    distiller = make(**changes).fit(X, y if names is None else names[y])
    save_distilled(path, distiller)
    loaded = load_distilled(path)
    assert isinstance(loaded, DistilledData)
    assert_same_triple(loaded, distiller.transform())
    assert_array_equal(loaded.recipe.classes, distiller.classes_)
    assert loaded.recipe.classes.dtype == distiller.classes_.dtype
    assert loaded.recipe.units.sample_shape == distiller.sample_shape_
    # It trains the same students, of any architecture.
    for student in (distiller.student, MLP):
        lost = case.startswith("fixed") and student is MLP  # of another size than the known net
        with pytest.warns(UserWarning, match="known net") if lost else nullcontext():
            one, other = (d.train(student, random_state=3) for d in (loaded, distiller.transform()))
        assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("make", [tiny, tiny_for_images], ids=["table", "images"])
def test_a_loaded_file_trains_the_known_net(table, images, path, make):
    X, y = table if make is tiny else images
    distiller = make(init="fixed").fit(X, y)
    save_distilled(path, distiller)
    student = load_distilled(path).train(distiller.student)
    expected = distiller.student_.module_.state_dict()
    assert student.module_.state_dict().keys() == expected.keys()
    for name, p in student.module_.state_dict().items():
        assert torch.equal(p, expected[name]), name
    assert_array_equal(student.predict_proba(X), distiller.predict_proba(X))


def test_the_known_net_of_another_size_is_not_taken(table, path):
    distiller = tiny(init="fixed").fit(*table)
    save_distilled(path, distiller)
    with pytest.warns(UserWarning, match="one known net, whose weights do not fit this MLP"):
        one, two = (load_distilled(path).train(net(width=5), random_state=s) for s in (0, 1))
    assert one.module_.net[1].out_features == 5
    assert not torch.equal(one.module_.net[1].weight, two.module_.net[1].weight)


def test_the_default_student_of_a_default_fit_is_trained(table, path):
    distiller = tiny(student=None, init="fixed").fit(*table)
    save_distilled(path, distiller)
    X, _ = table
    assert_array_equal(load_distilled(path).train().predict_proba(X), distiller.predict_proba(X))


def test_what_transform_returned_can_be_saved(fitted, table, path):
    save_distilled(path, fitted.transform())
    assert_same_triple(load_distilled(path), fitted.transform())
    save_distilled(path, load_distilled(path))
    assert_same_triple(load_distilled(path), fitted.transform())


def test_a_data_frame_of_samples_is_saved_as_an_array(table, path):
    X, y = table
    distiller = tiny().set_output(transform="pandas").fit(X, y)
    assert isinstance(distiller.transform().X, pd.DataFrame)
    save_distilled(path, distiller)
    assert_array_equal(load_distilled(path).X, distiller.transform().X.to_numpy())


def test_labels_of_a_data_frame_are_saved(table, path):
    X, y = table
    labels = pd.Series(np.array(["red", "rosé", "white"])[y])
    distiller = tiny().fit(X, labels)
    save_distilled(path, distiller)
    assert_same_triple(load_distilled(path), distiller.transform())


@pytest.mark.parametrize("name", ["X", "y", "lrs", "shift", "scale"])
def test_a_file_without_one_of_its_tensors(whole, path, name):
    tensors, metadata = load_file(path), file_metadata(path)
    del tensors[name]
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=f"not a whole file of distilled data.*{name}"):
        load_distilled(path)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("X", lambda a: a[:-1]),
        ("X", lambda a: a[:, :-1]),
        ("y", lambda a: a[:-1]),
        ("y", lambda a: a + 3),
        ("y", lambda a: a - 1),
        ("y", lambda a: a.astype(np.float32)),
        ("lrs", lambda a: a.ravel()),
        ("lrs", lambda a: np.ones((1, 5), np.float32)),
        ("shift", lambda a: a[:-1]),
    ],
)
def test_a_file_whose_tensors_do_not_fit_each_other(whole, path, name, spoil):
    tensors, metadata = load_file(path), file_metadata(path)
    tensors[name] = np.ascontiguousarray(spoil(tensors[name]))
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="not a whole file of distilled data"):
        load_distilled(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda metadata: metadata.pop("recipe"),
        lambda metadata: metadata.pop("version"),
        lambda metadata: metadata.update(version="first"),
        lambda metadata: metadata.update(recipe="{"),
        lambda metadata: metadata.update(recipe="[]"),
        lambda metadata: metadata.update(recipe="{}"),
        lambda metadata: metadata.update(
            recipe=json.dumps(json.loads(metadata["recipe"]) | {"classes_dtype": "nonsense"})
        ),
        lambda metadata: metadata.update(
            recipe=json.dumps(json.loads(metadata["recipe"]) | {"optimizer": {"name": "LBFGS"}})
        ),
    ],
    ids=[
        "no recipe", "no version", "version", "half a recipe", "list", "empty recipe", "dtype",
        "optimizer",
    ],
)  # fmt: skip
def test_a_file_of_damaged_metadata(whole, path, spoil):
    tensors, metadata = load_file(path), file_metadata(path)
    spoil(metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="not a whole file of distilled data"):
        load_distilled(path)


def test_a_file_that_names_no_optimizer_is_of_gradient_descent(whole, path):
    metadata = file_metadata(path)
    recipe = json.loads(metadata["recipe"])
    assert recipe.pop("optimizer") == {"name": "SGD"}
    save_file(load_file(path), path, metadata | {"recipe": json.dumps(recipe)})
    assert load_distilled(path).recipe.spec(MLP).optimizer == SGD()


def test_a_file_is_replaced_whole(fitted, whole, path, table):
    other = tiny(random_state=1).fit(*table)
    save_distilled(path, other)
    assert_same_triple(load_distilled(path), other.transform())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("value", [(1, 2, 3), "distilled"], ids=["tuple", "name"])
def test_only_distilled_data_are_saved(path, value):
    with pytest.raises(TypeError, match="save_distilled takes a fitted distiller"):
        save_distilled(path, value)


def test_a_distiller_that_is_not_fitted_is_not_saved(path):
    with pytest.raises(ValueError, match="not fitted"):
        save_distilled(path, tiny())
