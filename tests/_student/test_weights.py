"""Where students start: random, fixed, by a callable, from known nets."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import (
    MLP,
    xavier_normal,
)

from ..helpers import (
    assert_same_weights,
    net,
    pretrained,
    small_pool,
    start_of,
    tiny,
    weights_of,
)


def test_fixed_is_one_net_and_random_are_many(table):
    X, y = table
    fixed = tiny(init="fixed").fit(X, y)
    assert_same_weights(start_of(fixed.student_), fixed.recipe_.weights, atol=0)
    assert fixed.evaluate(X, y).scores.shape == (1,)
    assert fixed.evaluate(X, y, random_state=3).mean == fixed.score(X, y)
    random = tiny(init="random").fit(X, y)
    assert random.recipe_.weights is None
    assert len(set(random.evaluate(X, y, each_step=True).step_scores[0])) > 1


def test_a_callable_prior_initialises_the_module(table):
    X, y = table
    distiller = tiny(init=xavier_normal).fit(X, y)
    start = start_of(distiller.student_)
    assert (start["1.bias"] == 0).all()
    assert (start["1.weight"] != 0).all()
    assert not np.allclose(distiller.transform().X, tiny().fit_transform(X, y).X)


@pytest.mark.parametrize("kind", ["state dicts", "skorch nets", "students"])
def test_a_pool_of_known_nets(table, kind):
    X, y = table
    if kind == "students":
        members = [tiny(random_state=seed).fit(X, y).student_ for seed in (1, 2)]
        weights = [weights_of(member) for member in members]
    else:
        members = [pretrained(seed, X, y) for seed in (1, 2)]
        weights = [dict(member.module_.named_parameters()) for member in members]
    if kind == "state dicts":
        members = [member.module_.state_dict() for member in members]
    distiller = tiny(init=members).fit(X, y)
    start = start_of(distiller.student_)
    assert any(all(torch.equal(start[n], w[n]) for n in start) for w in weights)
    # Before the first step a student is one of the pool's two nets.
    assert len(set(distiller.evaluate(X, y, n_inits=12, each_step=True).step_scores[0])) == 2


def test_one_known_net_is_evaluated_once(table):
    X, y = table
    known = pretrained(1, X, y)
    before = {name: p.clone() for name, p in known.module_.state_dict().items()}
    distiller = tiny(init=[known]).fit(X, y)
    assert_same_weights(start_of(distiller.student_), before, atol=0)
    assert distiller.evaluate(X, y).scores.shape == (1,)
    assert distiller.evaluate(X, y).mean == distiller.score(X, y)
    as_state_dict = tiny(init=dict(known.module_.state_dict())).fit(X, y)
    assert_array_equal(as_state_dict.X_syn_, distiller.X_syn_)
    assert_same_weights(known.module_.state_dict(), before, atol=0)


def test_trained_students_start_from_the_prior_of_the_fit(table):
    def zeros(module):
        for p in module.parameters():
            nn.init.zeros_(p)

    distiller = tiny(init=zeros).fit(*table)
    start = start_of(distiller.transform().train(random_state=3))
    assert not any(w.any() for w in start.values())


def test_a_folder_is_a_pool_to_start_from(table, tmp_path):
    nets = small_pool(*table, 2, folder=tmp_path)
    from_folder, from_list = (
        tiny(student=net(), init=init).fit(*table) for init in (tmp_path, nets)
    )
    assert_array_equal(from_folder.X_syn_, from_list.X_syn_)
    found, wanted = (
        from_list.evaluate(*table, n_inits=3, init=init).scores for init in (tmp_path, nets)
    )
    assert_array_equal(found, wanted)


def test_a_folder_without_nets_is_no_pool(table, tmp_path):
    with pytest.raises(ValueError, match="no safetensors file"):
        tiny(init=tmp_path).fit(*table)


@pytest.mark.parametrize(
    ("pool", "rule"),
    [
        ([], "init is an empty list"),
        (
            [MLP((13,), 3, width=8).state_dict(), MLP((13,), 3, width=9).state_dict()],
            r"init\[1\] does not fit the student MLP.*'1.weight'.*\(8, 13\).*\(9, 13\)",
        ),
        (
            [nn.Linear(5, 3).state_dict()],
            r"init\[0\] does not fit the student MLP.*none of that name",
        ),
        ([{}], r"init\[0\] does not fit the student MLP.*none of that name"),
        ([NeuralNetClassifier(MLP)], r"init\[0\] is a skorch net that is not fitted: fit it first"),
        (["random"], r"init\[0\]"),
        ([MLP], r"init\[0\]"),
    ],
    ids=["empty", "width", "other net", "no weights", "not fitted", "name", "class"],
)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_a_pool_of_weights_that_does_not_fit(table, fitted, pool, rule, where):
    X, y = table
    call = tiny(init=pool).fit if where == "fit" else partial(fitted.evaluate, init=pool)
    with pytest.raises((TypeError, ValueError), match=rule):
        call(X, y)


@pytest.mark.parametrize(
    ("init", "rule"),
    [
        (
            "zero",
            r"init='zero' is neither 'random' nor 'fixed', nor a folder of nets.* pass a callable",
        ),
        (MLP((13,), 3, width=8), r"(?s)init must be .*give its state_dict"),
        (MLP, r"init must be .*give its state_dict"),
        (NeuralNetClassifier(MLP), r"init must be .*Wrap one net in a list"),
    ],
    ids=["name", "module", "class", "not in a list"],
)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_an_init_that_is_none(table, fitted, init, rule, where):
    call = tiny(init=init).fit if where == "fit" else partial(fitted.evaluate, init=init)
    with pytest.raises((TypeError, ValueError), match=rule):
        call(*table)


def test_weights_that_are_not_finite(table):
    weights = {name: p * np.nan for name, p in MLP((13,), 3, width=8).state_dict().items()}
    with pytest.raises(ValueError, match=r"init\[0\].*finite"):
        tiny(init=[weights]).fit(*table)


def test_a_folder_may_be_named_by_a_str(table, tmp_path):
    nets = small_pool(*table, 2, folder=tmp_path)
    from_str, from_list = (tiny(init=init).fit(*table) for init in (str(tmp_path), nets))
    assert_array_equal(from_str.X_syn_, from_list.X_syn_)
    pooled = small_pool(*table, 1, init=str(tmp_path), random_state=1)
    assert len(pooled) == 1
    found = from_list.evaluate(*table, init=str(tmp_path)).scores
    assert_array_equal(found, from_list.evaluate(*table, init=nets).scores)


@pytest.mark.parametrize("init", ["randm", "no/such/folder"])
def test_a_name_that_is_no_folder_is_answered_with_the_names(table, init):
    rule = f"init='{init}' is neither 'random' nor 'fixed', nor a folder"
    with pytest.raises(ValueError, match=rule):
        tiny(init=init).fit(*table)
    with pytest.raises(ValueError, match=rule):
        small_pool(*table, 1, init=init)
