"""Distilled data on disk."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from skorch import NeuralNetClassifier

from sklearn_dd import DistilledData, files, load_distilled, save_distilled, train_pool
from sklearn_dd.engine.optimizers import SGD
from sklearn_dd.modules import MLP, ConvNet

from .conftest import named, net, tiny, tiny_for_images


@pytest.fixture
def path(tmp_path):
    return tmp_path / "distilled.safetensors"


def assert_same_triple(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
        assert a.dtype == b.dtype


def metadata_of(path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as f:
        return f.metadata()


def colours_last(X):
    return np.stack([X, 16 - X, X // 2], axis=-1)


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
    X, y = table if make is tiny else (colours_last(images[0]), images[1])
    distiller = make(**changes).fit(X, y if names is None else names[y])
    save_distilled(path, distiller)
    loaded = load_distilled(path)
    assert isinstance(loaded, DistilledData)
    assert_same_triple(loaded, distiller.transform())
    assert_array_equal(loaded.recipe.classes, distiller.classes_)
    assert loaded.recipe.classes.dtype == distiller.classes_.dtype
    assert loaded.recipe.standardize.sample_shape == distiller.sample_shape_
    # It trains the same students, of any architecture.
    for student in (distiller.student, MLP):
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
    one, two = (load_distilled(path).train(net(width=5), random_state=s) for s in (0, 1))
    assert one.module_.net[1].out_features == 5
    assert not torch.equal(one.module_.net[1].weight, two.module_.net[1].weight)


def test_training_takes_a_seed(fitted, table):
    X, _ = table
    data = fitted.transform()
    first = data.train(random_state=1).predict_proba(X)
    assert_array_equal(data.train(random_state=1).predict_proba(X), first)
    assert not np.array_equal(data.train(random_state=2).predict_proba(X), first)


def test_the_default_student_of_a_default_fit_is_trained(table, path):
    distiller = tiny(student=None, init="fixed").fit(*table)
    save_distilled(path, distiller)
    X, _ = table
    assert_array_equal(load_distilled(path).train().predict_proba(X), distiller.predict_proba(X))


def test_a_file_tells_how_the_data_were_made(table, path):
    distiller = tiny(n_per_class=2, random_state=11, data_init=np.zeros((6, 13))).fit(*table)
    save_distilled(str(path), distiller)
    description = load_distilled(str(path)).recipe.description
    assert description == distiller.recipe_.description
    assert description["seed"] == distiller.seed_
    assert description["student"] == "MLP"
    assert description["versions"]["torch"] == torch.__version__
    assert set(description["versions"]) == {
        "sklearn-dd", "torch", "scikit-learn", "skorch", "numpy", "python",
    }  # fmt: skip
    parameters = description["parameters"]
    assert parameters["n_per_class"] == 2
    assert parameters["random_state"] == 11
    assert parameters["init"] == "random"
    assert set(parameters) == set(distiller.get_params(deep=False))


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


# ------------------------------------------------------------------------------------ bad files


@pytest.fixture
def whole(fitted, path) -> bytes:
    save_distilled(path, fitted)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file(whole, path, share):
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        ValueError, match=r"distilled.safetensors.*not a whole file.*save_distilled"
    ):
        load_distilled(path)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_random_bytes(path, seed):
    path.write_bytes(np.random.default_rng(seed).bytes(2000))
    with pytest.raises(ValueError, match=r"distilled.safetensors.*not a whole file"):
        load_distilled(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}], ids=named)
def test_a_file_of_other_tensors(path, metadata):
    save_file({"weight": np.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=r"holds tensors, but not distilled data.*save_distilled"):
        load_distilled(path)


@pytest.mark.parametrize("name", ["X", "y", "lrs", "shift", "scale"])
def test_a_file_without_one_of_its_tensors(whole, path, name):
    tensors, metadata = load_file(path), metadata_of(path)
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
    tensors, metadata = load_file(path), metadata_of(path)
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
    tensors, metadata = load_file(path), metadata_of(path)
    spoil(metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="not a whole file of distilled data"):
        load_distilled(path)


def test_a_file_that_names_no_optimizer_is_of_gradient_descent(whole, path):
    metadata = metadata_of(path)
    recipe = json.loads(metadata["recipe"])
    assert recipe.pop("optimizer") == {"name": "SGD"}
    save_file(load_file(path), path, metadata | {"recipe": json.dumps(recipe)})
    assert load_distilled(path).recipe.network(MLP).optimizer == SGD()


def test_a_file_of_a_later_version(whole, path):
    save_file(load_file(path), path, metadata_of(path) | {"version": "99"})
    with pytest.raises(ValueError, match=r"has version 99 of the format.*install a newer"):
        load_distilled(path)


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=r"distilled.safetensors"):
        load_distilled(path)


def test_a_failed_write_leaves_the_old_file_whole(fitted, whole, path, table, monkeypatch):
    def fill_the_disk(tensors, file, metadata):
        with open(file, "wb") as f:
            f.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "save_file", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        save_distilled(path, tiny(random_state=1).fit(*table))
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path], "nothing is left lying about"


def test_a_file_is_replaced_whole(fitted, whole, path, table):
    other = tiny(random_state=1).fit(*table)
    save_distilled(path, other)
    assert_same_triple(load_distilled(path), other.transform())
    assert list(path.parent.iterdir()) == [path]


def test_data_without_a_recipe(fitted, path):
    bare = DistilledData(*fitted.transform())
    with pytest.raises(ValueError, match=r"no recipe.*take it from DatasetDistiller\.transform"):
        bare.train()
    with pytest.raises(ValueError, match=r"no recipe.*take it from DatasetDistiller\.transform"):
        save_distilled(path, bare)
    assert not path.exists()


@pytest.mark.parametrize("value", [(1, 2, 3), "distilled"], ids=["tuple", "name"])
def test_only_distilled_data_are_saved(path, value):
    with pytest.raises(TypeError, match="save_distilled takes a fitted distiller"):
        save_distilled(path, value)


def test_a_distiller_that_is_not_fitted_is_not_saved(path):
    with pytest.raises(ValueError, match="not fitted"):
        save_distilled(path, tiny())


def test_train_takes_the_student_that_the_data_were_made_for(images):
    X, y = images
    distiller = tiny(student=MLP, init="fixed").fit(X, y)
    student = distiller.transform().train()
    assert isinstance(student.module_.net, MLP)
    assert_array_equal(student.predict_proba(X), distiller.predict_proba(X))


@pytest.mark.parametrize(
    "optimizer",
    [
        {"optimizer": torch.optim.Adam, "optimizer__betas": (0.8, 0.99), "optimizer__eps": 1e-3},
        {"optimizer__momentum": 0.5},
        {},
    ],
    ids=["Adam", "momentum", "descent"],
)
def test_a_class_is_trained_by_the_optimizer_that_the_data_were_distilled_for(
    optimizer, table, path
):
    X, y = table
    student = NeuralNetClassifier(MLP, **optimizer)
    distiller = tiny(student=student, init="fixed", distill_lr=0.02).fit(X, y)
    save_distilled(path, distiller)
    wanted = distiller.predict_proba(X)
    for data in (distiller.transform(), load_distilled(path)):
        for given in (None, MLP, student):
            assert_array_equal(data.train(given).predict_proba(X), wanted)
    own = distiller.evaluate(X, y).step_scores
    assert_array_equal(distiller.evaluate(X, y, student=MLP).step_scores, own)
    other = NeuralNetClassifier(MLP, optimizer__momentum=0.9)  # brings its own
    assert not np.array_equal(distiller.transform().train(other).predict_proba(X), wanted)


def test_train_warns_where_a_file_leaves_the_student_open(images, tmp_path):
    X, y = images
    save_distilled(tmp_path / "d.safetensors", tiny(student=MLP, init="fixed").fit(X, y))
    loaded = load_distilled(tmp_path / "d.safetensors")
    with pytest.warns(UserWarning, match=r"distilled for MLP .* and ConvNet .* was chosen"):
        loaded.train()
    with pytest.warns(UserWarning, match="weights don't fit this ConvNet"):
        loaded.train(ConvNet)


def test_a_warning_points_at_the_line_that_it_is_about(table, tmp_path):
    X, y = table
    save_distilled(tmp_path / "d.safetensors", tiny(init="fixed").fit(X, y))
    loaded = load_distilled(tmp_path / "d.safetensors")
    for warns in (lambda: loaded.train(MLP), lambda: tiny(max_iter=1).fit(X + 1e8, y)):
        with pytest.warns(UserWarning, match=r"Pass the same|Subtract the mean") as caught:
            warns()
        assert caught[0].filename == __file__


def test_train_starts_from_the_weights_that_it_is_given(table, tmp_path):
    X, y = table
    pool = train_pool(net(), X, y, 3, n_epochs=30, lr=0.02, random_state=0)
    distiller = tiny(init=pool, distill_lr=1e-6, max_iter=1).fit(X, y)
    save_distilled(tmp_path / "d.safetensors", distiller)
    for data in (distiller.transform(), load_distilled(tmp_path / "d.safetensors")):
        student = data.train(net(), init=pool[1])
        for name, p in student.module_.net.named_parameters():
            assert_allclose(p.detach(), pool[1][name], atol=1e-3)


def test_train_takes_the_pool_for_its_own_students_and_says_where_it_cannot(table, tmp_path):
    X, y = table
    pool = train_pool(net(), X, y, 3, n_epochs=30, lr=0.02, random_state=0)
    distiller = tiny(init=pool, distill_lr=1e-6, max_iter=1).fit(X, y)
    for student in (None, net()):
        assert (distiller.transform().train(student).predict(X) == y).mean() > 0.9
        assert distiller.evaluate(X, y, student=student).mean > 0.9
    with pytest.warns(UserWarning, match="a pool of other nets than this MLP"):
        distiller.transform().train(MLP)
    save_distilled(tmp_path / "d.safetensors", distiller)
    with pytest.warns(UserWarning, match="weights that a file does not hold"):
        load_distilled(tmp_path / "d.safetensors").train(net())
