"""A checkpoint continues the fit that it was written by, and no other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sklearn_dd import (
    MLP,
    Clipped,
    Unrolled,
)
from sklearn_dd._distillers.checkpoint import FORMAT

from ..helpers import (
    net,
    tiny,
)


def test_a_checkpoint_of_other_parameters_is_refused(table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    with pytest.raises(ValueError, match=r"n_epochs was 3 and is 4.*start afresh"):
        tiny(n_epochs=4).fit(*table, resume_from=tmp_path / "c")


@pytest.mark.parametrize("other", [lambda X, y: (X[::-1], y), lambda X, y: (X, (y + 1) % 3)])
def test_a_checkpoint_of_other_data_is_refused(other, table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    with pytest.raises(ValueError, match=r"data was .* and is .*start afresh"):
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
    with pytest.raises(ValueError, match=rf"{name} was .* and is .*start afresh"):
        tiny(**{name: after}).fit(*table, resume_from=tmp_path / "c")


def test_other_names_of_the_classes_are_other_data(table, tmp_path):
    X, y = table
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(X, y)
    with pytest.raises(ValueError, match=r"classes was \[0, 1, 2\] and is \[7, 8, 9\]"):
        tiny().fit(X, y + 7, resume_from=tmp_path / "c")


def test_methods_around_others_are_distinguished(table, tmp_path):
    tiny(method=Clipped(Unrolled(window=2)), checkpoint=tmp_path / "c", checkpoint_every=1).fit(
        *table
    )
    for other in (Clipped(Unrolled(window=3)), Clipped(Unrolled(window=2), 1.0)):
        with pytest.raises(ValueError, match="method was 'Clipped"):
            tiny(method=other).fit(*table, resume_from=tmp_path / "c")
    tiny(method=Clipped(Unrolled(window=2))).fit(*table, resume_from=tmp_path / "c")


class Counting:
    """An objective that changes while a fit runs."""

    def __init__(self):
        self.calls = 0

    def __call__(self, logits, y):
        self.calls += 1
        return torch.nn.functional.cross_entropy(logits, y)


def test_a_fit_continues_although_its_objective_counted_its_calls(table, tmp_path):
    options = {"max_iter": 8, "checkpoint": tmp_path / "c", "checkpoint_every": 3}
    whole = tiny(objective=Counting(), **options).fit(*table)
    resumed = tiny(objective=Counting(), **options).fit(*table, resume_from=tmp_path / "c")
    np.testing.assert_array_equal(resumed.X_syn_, whole.X_syn_)


def test_a_fit_that_ran_out_of_patience_ends_as_it_did(table, tmp_path):
    # Steps so small that all scores are equal: the last iterate must not take the best one's place.
    still = {"outer_lr": 1e-9, "step_size_rate": 0, "n_iter_no_change": 6, "max_iter": 100}
    options = {**still, "checkpoint": tmp_path / "c", "checkpoint_every": 1}
    whole = tiny(**options).fit(*table)
    assert whole.n_iter_ < 100
    resumed = tiny(**options).fit(*table, resume_from=tmp_path / "c")
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.X_syn_, whole.X_syn_)


@pytest.mark.parametrize("key", ["seed", "history", "parameters", "phase"])
def test_a_checkpoint_without_what_a_fit_needs_is_damaged(key, table, tmp_path):
    tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(*table)
    tensors, metadata = FORMAT.read(tmp_path / "c")
    del metadata[key]
    FORMAT.write(tmp_path / "c", tensors, metadata)
    with pytest.raises(ValueError, match="not a whole file of a checkpoint"):
        tiny().fit(*table, resume_from=tmp_path / "c")
