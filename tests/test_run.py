"""A fit ends in time, and goes on where it was ended."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sklearn_dd import DatasetDistiller, run
from sklearn_dd.engine.clipped import Clipped
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.ridge import Ridge
from sklearn_dd.methods import METHODS
from sklearn_dd.modules import MLP

from .conftest import net, tiny, tiny_for_images


class Killed(Exception):
    pass


def killed(make, X, y, path, after, monkeypatch):
    """A fit that dies in the iteration after ``after``, and leaves a checkpoint."""
    calls = 0

    def look(monitor, iteration, look=run.Monitor.look):
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return look(monitor, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(run.Monitor, "look", look)
        with pytest.raises(Killed):
            make(checkpoint=path, checkpoint_every=2).fit(X, y)


def assert_same_fit(one: DatasetDistiller, other: DatasetDistiller):
    for a, b in zip(one.transform(), other.transform(), strict=True):
        assert_array_equal(a, b)
    assert one.history_ == other.history_


@pytest.mark.parametrize("after", [2, 3, 5])
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_fit_goes_on_to_the_same_result(table, tmp_path, monkeypatch, method, after):
    def make(**changes):
        return tiny(max_iter=6, method=method, labels="soft", **changes)

    whole = make().fit(*table)
    killed(make, *table, tmp_path / "c", after, monkeypatch)
    assert_same_fit(make().fit(*table, resume_from=tmp_path / "c"), whole)


def test_also_under_augmentation(images, tmp_path, monkeypatch):
    def make(**changes):
        return tiny_for_images(max_iter=6, method="auto", augment="dsa", **changes)

    whole = make().fit(*images)
    killed(make, *images, tmp_path / "c", 2, monkeypatch)
    assert_same_fit(make().fit(*images, resume_from=tmp_path / "c"), whole)


def test_also_where_the_seed_was_drawn(table, tmp_path):
    whole = tiny(max_iter=4, random_state=None, checkpoint=tmp_path / "c", checkpoint_every=3)
    whole.fit(*table)
    again = tiny(max_iter=4, random_state=None).fit(*table, resume_from=tmp_path / "c")
    assert_same_fit(again, whole)


def test_a_checkpoint_of_other_parameters_is_refused(table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    with pytest.raises(ValueError, match=r"n_epochs was 3 and is 4.*start anew"):
        tiny(n_epochs=4).fit(*table, resume_from=tmp_path / "c")


@pytest.mark.parametrize("other", [lambda X, y: (X[::-1], y), lambda X, y: (X, (y + 1) % 3)])
def test_a_checkpoint_of_other_data_is_refused(other, table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    with pytest.raises(ValueError, match=r"data was .* and is .*start anew"):
        tiny().fit(*other(*table), resume_from=tmp_path / "c")


def test_the_order_in_memory_makes_no_other_data(table, tmp_path):
    X, y = table
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(X, y)
    for same in (np.asfortranarray(X), X.repeat(2, axis=1)[:, ::2]):
        tiny().fit(same, y, resume_from=tmp_path / "c")


def weights(seed):
    torch.manual_seed(seed)
    return MLP((13,), 3, width=8).state_dict()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("init", [weights(0), weights(1)], [weights(0), weights(2)]),
        ("student", net(), net(activation=torch.nn.Tanh)),
        ("student", net(), net().set_params(optimizer=torch.optim.Adam)),
        ("data_init", np.zeros((3, 13)), np.ones((3, 13))),
    ],
    ids=["pool", "arguments", "optimizer", "array"],
)
def test_arrays_nets_and_students_are_parameters_too(name, before, after, table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1, **{name: before}).fit(*table)
    tiny(**{name: before}).fit(*table, resume_from=tmp_path / "c")
    with pytest.raises(ValueError, match=rf"{name} was .* and is .*start anew"):
        tiny(**{name: after}).fit(*table, resume_from=tmp_path / "c")


def test_other_names_of_the_classes_are_other_data(table, tmp_path):
    X, y = table
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(X, y)
    with pytest.raises(ValueError, match=r"classes was \[0, 1, 2\] and is \[7, 8, 9\]"):
        tiny().fit(X, y + 7, resume_from=tmp_path / "c")


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_without_progress_ends_where_it_ended(seed, table, tmp_path):
    patience = {"n_iter_no_change": 1, "max_iter": 60, "n_epochs": 2, "random_state": seed}
    whole = tiny(checkpoint=tmp_path / "c", checkpoint_every=1, **patience).fit(*table)
    assert_same_fit(tiny(**patience).fit(*table, resume_from=tmp_path / "c"), whole)


def test_estimators_around_others_are_told_apart(table, tmp_path):
    tiny(method=Clipped(Unrolled(window=2)), checkpoint=tmp_path / "c", checkpoint_every=1).fit(
        *table
    )
    for other in (Clipped(Unrolled(window=3)), Clipped(Unrolled(window=2), 1.0)):
        with pytest.raises(ValueError, match="method was 'Clipped"):
            tiny(method=other).fit(*table, resume_from=tmp_path / "c")
    tiny(method=Clipped(Unrolled(window=2))).fit(*table, resume_from=tmp_path / "c")


def test_a_ridge_within_another_estimator_is_followed_by_unrolled_steps(table):
    fitted = tiny(method=Clipped(Ridge()), max_iter=10).fit(*table)
    assert len(np.unique(fitted.lrs_)) > 1


def test_a_checkpoint_needs_a_folder_before_the_fit_begins(table, tmp_path):
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        tiny(checkpoint=tmp_path / "none" / "c").fit(*table)
    for call in (tiny(checkpoint=tmp_path).fit, partial(tiny().fit, resume_from=tmp_path)):
        with pytest.raises(IsADirectoryError, match="name a file in it"):
            call(*table)


def test_a_file_of_another_kind_is_refused(table, tmp_path):
    (tmp_path / "c").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a whole file of a checkpoint"):
        tiny().fit(*table, resume_from=tmp_path / "c")


def test_it_ends_in_time(table):
    start = time.monotonic()
    distiller = tiny(max_iter=10**6, max_time=1.0).fit(*table)
    assert time.monotonic() - start < 5
    assert 1 < distiller.n_iter_ < 10**6
    assert distiller.history_["validation_iter"][-1] == distiller.n_iter_


def test_enough_time_changes_nothing(table):
    assert_same_fit(tiny(max_time=1e9).fit(*table), tiny().fit(*table))


def test_time_already_spent_counts(table, tmp_path):
    tiny(max_iter=50, checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    again = tiny(max_iter=50, max_time=1e-9).fit(*table, resume_from=tmp_path / "c")
    assert again.n_iter_ == 50


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_step_sizes_and_samples(table, method):
    X, y = table
    distiller = tiny(method=method, max_iter=10).fit(X, y)
    assert distiller.n_iter_ == 10
    assert len(np.unique(distiller.lrs_)) > 1
    start = tiny(method=method, max_iter=10, outer_lr=1e-12).fit(X, y)
    assert not np.allclose(distiller.X_syn_, start.X_syn_)


def test_a_method_that_is_an_object(table):
    windows = tiny(method=Unrolled(window=1)).fit(*table)
    assert not np.array_equal(windows.X_syn_, tiny().fit(*table).X_syn_)


def test_features_need_a_linear_layer_at_the_end(table):
    from torch import nn

    class Squashed(nn.Sequential):
        def __init__(self, sample_shape, n_classes):
            super().__init__(nn.Linear(sample_shape[0], n_classes), nn.Tanh())

    with pytest.raises(ValueError, match=r"method='auto'.*last linear layer.*'unrolled'"):
        tiny(method="auto", student=Squashed).fit(*table)


def test_a_table_cannot_be_augmented(table):
    with pytest.raises(ValueError, match=r"augment='flip'.*images.*sample_shape"):
        tiny(augment="flip").fit(*table)


def test_augmentation_changes_what_is_learned(images):
    X, y = images
    assert not np.array_equal(
        tiny_for_images(augment="shift").fit(X, y).X_syn_, tiny_for_images().fit(X, y).X_syn_
    )
