"""Pools of trained nets: what they learn, how they are kept, and that a run can be continued."""

from __future__ import annotations

import pickle
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd import (
    MLP,
    ConvNet,
    _pools,
    load_pool,
    shift,
    train_pool,
)
from sklearn_dd._data import Standardize
from sklearn_dd._student import NET

from .helpers import (
    named,
    net,
    small_pool,
    tiny,
)


def accuracy(weights, X, y):
    """Accuracy of a net on samples that are standardised as a distiller does."""
    module = MLP((13,), 3, width=8)
    module.load_state_dict(weights)
    z = Standardize.fit(X, (13,), (13,))(torch.tensor(X))
    return (module(z).argmax(1).numpy() == y).mean()


def assert_same(pool, other, **tolerance):
    assert len(pool) == len(other)
    for one, another in zip(pool, other, strict=True):
        assert one.keys() == another.keys()
        for name in one:
            if tolerance:
                assert_allclose(one[name], another[name], **tolerance)
            else:
                assert_array_equal(one[name], another[name])


def test_every_net_of_a_pool_learns_the_source_set(table):
    X, y = table
    pool = small_pool(X, y, 4, n_epochs=30, lr=0.02)
    assert all(accuracy(weights, X, y) > 0.9 for weights in pool)
    first = next(iter(pool[0]))
    assert not any((pool[0][first] == weights[first]).all() for weights in pool[1:])


def test_a_distiller_starts_from_the_nets_as_they_are(table):
    X, y = table
    pool = small_pool(X, y, 1, n_epochs=30)
    before = tiny(init=pool).fit(X, y).evaluate(X, y, each_step=True).step_scores[0]
    assert_allclose(before, accuracy(pool[0], X, y))


def test_the_units_of_the_samples_do_not_matter(table):
    X, y = table
    assert_same(small_pool(X, y, 2), small_pool(40 * X + 3, y, 2), atol=1e-4)
    with pytest.raises(AssertionError):
        assert_same(small_pool(X, y, 2), small_pool(X, y, 2, standardize=False), atol=1e-4)


def test_images_go_through_convolutions(images):
    (weights,) = small_pool(*images, 1, student=net(ConvNet, width=4, depth=1))
    assert weights["0.weight"].shape == (4, 1, 3, 3)


def test_augmented_mini_batches_are_what_nets_see(table):
    X, y = table
    seen = []

    def blank(x, generator):
        seen.append(x)
        return torch.zeros_like(x)

    augmented = small_pool(X, y, 1, augment=blank, n_epochs=30, lr=0.02)[0]
    assert len(torch.cat(seen)) == 30 * len(X)
    assert abs(torch.cat(seen).mean()) < 1e-3
    assert accuracy(augmented, X, y) < 0.8


def test_stacked_nets_train_as_each_of_them_does_alone(table):
    assert_same(small_pool(*table, 3, at_once=3), small_pool(*table, 3, at_once=1), atol=1e-5)


def test_a_net_depends_on_the_seed_and_its_place_alone(table):
    pool = small_pool(*table, 5, at_once=2)
    assert_same(pool[:4], small_pool(*table, 4, at_once=2))
    with pytest.raises(AssertionError):
        assert_same(pool[:4], small_pool(*table, 4, at_once=2, random_state=1), atol=1e-4)


def test_workers_share_the_work_and_it_travels_to_them(table, monkeypatch):
    train = _pools._train
    monkeypatch.setattr(
        _pools,
        "_train",
        lambda *work, **options: train(
            *pickle.loads(pickle.dumps(work)), **pickle.loads(pickle.dumps(options))
        ),
    )
    with joblib.parallel_config("threading"):  # processes take seconds to start
        shared = small_pool(*table, 4, at_once=1, n_jobs=2)
    assert_same(shared, small_pool(*table, 4, at_once=1))


def test_an_interrupted_run_continues_to_the_same_pool(table, tmp_path, monkeypatch):
    whole = small_pool(*table, 5, at_once=2)
    train, calls = _pools._train, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(_pools, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_pool(*table, 5, at_once=2, folder=tmp_path)
    assert len(load_pool(tmp_path)) == 2
    assert_same(small_pool(*table, 5, at_once=2, folder=tmp_path), whole)
    assert len(calls) == 4  # two at first, then the second again and the third
    assert_same(load_pool(tmp_path), whole)


def test_a_run_leaves_whole_nets_and_nothing_else(table, tmp_path):
    small_pool(*table, 2, folder=tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["net-00000.safetensors", "net-00001.safetensors"]


def test_a_pool_grows(table, tmp_path):
    small_pool(*table, 2, at_once=2, folder=tmp_path)
    grown = small_pool(*table, 4, at_once=2, folder=tmp_path)
    assert_same(grown, small_pool(*table, 4, at_once=2))


def test_nets_that_are_there_are_not_trained_again(table, tmp_path):
    small_pool(*table, 3, folder=tmp_path)
    before = (tmp_path / "net-00002.safetensors").stat().st_mtime_ns
    small_pool(*table, 5, folder=tmp_path)
    assert (tmp_path / "net-00002.safetensors").stat().st_mtime_ns == before
    assert len(load_pool(tmp_path)) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"lr": 1e-4},
        {"student": net(width=9)},
        {"student": net(activation=torch.nn.Tanh)},
        {"init": [MLP((13,), 3, width=8).state_dict()]},
    ],
    ids=named,
)
def test_nets_of_another_run_are_refused(change, table, tmp_path):
    small_pool(*table, 1, folder=tmp_path, init=[MLP((13,), 3, width=8).state_dict()])
    with pytest.raises(ValueError, match="holds nets of another run"):
        small_pool(*table, 1, folder=tmp_path, **change)


def noise(x, generator, strength=1.0):
    return x + strength * torch.randn(x.shape, generator=generator)


class Noise:
    def __init__(self, strength):
        self.strength = strength

    def __call__(self, x, generator):
        return noise(x, generator, self.strength)


def closed_over(strength):
    def augment(x, generator):
        return noise(x, generator, strength)

    return augment


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (partial(noise, strength=0.1), partial(noise, strength=5.0)),
        (lambda x, _: x + 0.1, lambda x, _: x + 5.0),
        (lambda x, _: x.sin(), lambda x, _: x.cos()),
        (Noise(0.1), Noise(5.0)),
        (closed_over(0.1), closed_over(5.0)),
    ],
    ids=["partial", "constant", "operation", "attribute", "closure"],
)
def test_nets_of_a_function_that_was_made_in_another_way_are_refused(
    before, after, table, tmp_path
):
    small_pool(*table, 1, folder=tmp_path, augment=before)
    small_pool(*table, 2, folder=tmp_path, augment=before)
    with pytest.raises(ValueError, match=r"holds nets of another run.*training was"):
        small_pool(*table, 1, folder=tmp_path, augment=after)


def test_nets_of_other_samples_are_refused(table, tmp_path):
    X, y = table
    small_pool(X, y, 1, folder=tmp_path)
    for other in ((X[::-1], y), (X, y[::-1])):
        with pytest.raises(ValueError, match=r"holds nets of another run.*samples was"):
            small_pool(*other, 1, folder=tmp_path)


def test_the_same_pixels_in_another_type_are_the_same_samples(images, tmp_path):
    X, y = images
    pool = small_pool(X, y, 1, folder=tmp_path)
    assert_same(small_pool(X.astype(np.float32), y, 1, folder=tmp_path), pool)


def test_a_file_of_other_tensors_is_refused(table, tmp_path):
    (net_0,) = small_pool(*table, 1, folder=tmp_path)
    path = tmp_path / "net-00000.safetensors"
    _, run = NET.read(path)
    NET.write(path, {name: p[:1] for name, p in net_0.items()}, run)
    with pytest.raises(ValueError, match=r"holds nets of another run.*shapes was"):
        small_pool(*table, 1, folder=tmp_path)


def test_numbers_may_be_numpys(table, tmp_path):
    found = small_pool(*table, 1, folder=tmp_path, n_epochs=np.int64(2), lr=np.float64(2e-3))
    assert_same(found, small_pool(*table, 1, folder=tmp_path))


def test_a_pool_prints_its_size_and_no_weights(table, tmp_path):
    pool = small_pool(*table, 2, folder=tmp_path)
    assert repr(pool) == repr(load_pool(tmp_path)) == "<2 nets>"
    assert "init=<2 nets>" in repr(tiny(init=pool))


def test_a_folder_needs_a_seed(table, tmp_path):
    with pytest.raises(ValueError, match="random_state must be an int where folder is given"):
        small_pool(*table, 1, folder=tmp_path, random_state=None)


@pytest.mark.parametrize("name", ["n_nets", "n_epochs", "batch_size", "at_once", "lr"])
def test_a_wrong_number_is_named(name, table):
    X, y = table
    arguments = {"n_nets": 1, name: 0}
    with pytest.raises(ValueError, match=name):
        small_pool(X, y, **arguments)


@pytest.mark.parametrize("lr", [np.nan, np.inf])
def test_a_step_size_is_a_number(lr, table):
    with pytest.raises(ValueError, match="lr == "):
        small_pool(*table, 1, lr=lr)


def test_nets_that_diverge_are_not_kept(table, tmp_path):
    with pytest.raises(ValueError, match=r"diverged: with lr=1e\+30 .* Lower lr"):
        small_pool(*table, 2, lr=1e30, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_augmentation_has_its_name_as_in_a_distiller(images, table):
    student = net(ConvNet, width=4, depth=1)
    found = small_pool(*images, 1, student=student, augment="shift")
    assert_same(found, small_pool(*images, 1, student=student, augment=shift))
    for samples, name in ((images, "shear"), (table, "shift")):
        with pytest.raises(ValueError, match=f"augment must be None, a callable or.*{name!r}"):
            small_pool(*samples, 1, student=None, augment=name)


def test_a_damaged_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="missing' is no folder"):
        load_pool(tmp_path / "missing")
    with pytest.raises(ValueError, match="has no safetensors file"):
        load_pool(tmp_path)
    (tmp_path / "net-00000.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"net-00000\.safetensors' is not a whole"):
        load_pool(tmp_path)


def test_progress_is_shown_where_it_is_wanted(table, capsys):
    small_pool(*table, 2, verbose=1)
    assert "2/2" in capsys.readouterr().err
    small_pool(*table, 2)
    assert capsys.readouterr().err == ""


def test_the_global_generator_is_left_alone(table):
    before = torch.random.get_rng_state()
    small_pool(*table, 1)
    assert_array_equal(before, torch.random.get_rng_state())


def test_a_pool_is_of_the_default_student_unless_another_is_named(table):
    X, y = table
    by_default, named = (
        train_pool(X, y, 2, n_epochs=1, random_state=0, **student)
        for student in ({}, {"student": partial(MLP, width=512)})
    )
    assert_same(by_default, named)
    assert len(by_default) == 2
    (narrow,) = train_pool(X, y, 1, student=net(width=3), n_epochs=1, random_state=0)
    assert narrow["1.weight"].shape == (3, 13)
    with pytest.raises(TypeError, match="positional argument"):
        train_pool(MLP, X, y, 1)
