"""Every set meets every model, and nothing is chosen on test data."""

from __future__ import annotations

import importlib
from collections import Counter
from functools import partial

import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_dd import (
    Baseline,
    DatasetDistiller,
    DatasetDistillerRegressor,
    Herding,
    RandomSamples,
    all_baselines,
    compare,
    train_pool,
)
from sklearn_dd._comparison import bench

from ..helpers import (
    BASELINES,
    net,
    small_pool,
    tiny,
)
from .common import MODELS, Unused, cell, compared, small


def test_every_choice_is_made_on_training_data(distiller, split, monkeypatch):
    X_train, y_train, _, _ = split
    given = []
    fit, train = Baseline.fit, train_pool
    monkeypatch.setattr(Baseline, "fit", lambda self, *data: given.append(data) or fit(self, *data))
    monkeypatch.setattr(
        bench,
        "train_pool",
        lambda X, y, *rest, **options: given.append((X, y)) or train(X, y, *rest, **options),
    )
    baselines = [small(RandomSamples, n_sets=2), small(Herding, schedule="learned")]
    compared(distiller, split, baselines, students={"wide": net(width=16)})
    assert len(given) == 6  # two baselines and all data, each for two students
    assert all(X is X_train and y is y_train for X, y in given)
    assert not any(hasattr(baseline, "recipe_") for baseline in baselines)


def test_a_fitted_baseline_is_taken_as_it_is(distiller, split):
    other = small(Herding, step_sizes=[0.3]).fit(split[0][::2], split[1][::2])
    table = compared(distiller, split, [other], models={}, n_full=0).table
    expected = other.evaluate(*split[2:], n_inits=3, random_state=distiller.seed_)
    assert cell(table, "Herding", "MLP")["mean"] == expected.mean


def test_held_out_nets_are_what_the_own_student_starts_from(split):
    pools = [small_pool(*split[:2], 3, n_epochs=30, lr=0.02, random_state=seed) for seed in (0, 1)]
    distiller = tiny(init=pools[0], max_iter=3).fit(*split[:2])
    changes = {"init": pools[1], "models": {}, "n_full": 0}
    table = compared(distiller, split, [], **changes).table
    seed = distiller.seed_
    expected = distiller.evaluate(*split[2:], n_inits=3, init=pools[1], random_state=seed)
    assert cell(table, "distilled", "MLP")["mean"] == expected.mean


def test_a_scorer_scores_every_model_on_every_set(distiller, split):
    *_, X_test, y_test = split

    def always_half(estimator, X, y):
        assert len(X) == len(y) == len(y_test)
        return 0.5

    table = compared(distiller, split, [small(Herding)], scoring=always_half).table
    assert set(table["mean"]) == {0.5}
    table = compared(distiller, split, [], scoring="neg_log_loss", n_full=0).table
    options = {"n_inits": 3, "random_state": distiller.seed_, "scoring": "neg_log_loss"}
    expected = distiller.evaluate(X_test, y_test, **options)
    assert cell(table, "distilled", "MLP")["mean"] == expected.mean
    expected = distiller.evaluate(X_test, y_test, student=MODELS["logistic"], **options)
    assert cell(table, "distilled", "logistic")["mean"] == pytest.approx(expected.mean)


def test_one_seed_decides_it_all(distiller, split):
    def means(random_state):
        options = {"models": {}, "n_full": 1, "random_state": random_state}
        return compared(distiller, split, [small(Herding)], **options).table["mean"]

    first = means(3)
    assert_array_equal(means(3), first)
    assert (means(4) != first).any()


def test_all_baselines_take_the_distillers_settings_and_its_known_net(split):
    distiller = tiny(init="fixed", n_per_class=2, n_steps=2).fit(*split[:2])
    baselines = all_baselines(distiller, n_random=2)
    kinds = Counter((type(baseline), baseline.schedule) for baseline in baselines)
    # Two sets of random samples, and the best of several.
    each = {kind: 3 if kind is RandomSamples else 1 for kind in BASELINES}
    assert kinds == {(kind, s): n for kind, n in each.items() for s in ("fixed", "learned")}
    for baseline in baselines:
        assert (baseline.n_per_class, baseline.n_steps, baseline.n_epochs) == (2, 2, 3)
        for name, weights in distiller.recipe_.weights.items():
            assert_array_equal(baseline.init[0][name], weights)
    one, again, other = (
        [b.random_state for b in all_baselines(distiller, random_state=seed)] for seed in (0, 0, 1)
    )
    assert one == again
    assert not set(one) & set(other)
    assert len(set(one)) == 4  # three random sets differ, from each other and from the rest


@pytest.mark.parametrize("n_per_class", [2, {0: 2, 1: 4, 2: 2}, "auto"], ids=str)
def test_what_the_plan_decided_holds_for_the_baselines_too(split, n_per_class):
    n_samples = 8 if n_per_class == "auto" else None
    distiller = DatasetDistiller(
        n_per_class, n_samples=n_samples, max_iter=2, data_init="real", random_state=0
    ).fit(*split[:2])
    for baseline in all_baselines(distiller, ["fixed"], n_random=1, n_sets=2):
        fitted = baseline.fit(*split[:2])
        assert fitted.lrs_.shape == distiller.lrs_.shape
        assert fitted.n_per_class_ == distiller.n_per_class_
        assert fitted.recipe_.spec().arguments == distiller.recipe_.spec().arguments


def test_sets_that_differ_in_more_than_their_draws_are_distinguished(distiller, split):
    sets = [
        {}, {"random_state": 1}, {"n_epochs": 9}, {"n_epochs": 9, "schedule": "learned"},
        {"init": partial(normal, std=0.1)}, {"init": partial(normal, std=1)},
    ]  # fmt: skip
    baselines = [small(RandomSamples, **changes) for changes in sets]
    table, _ = compared(distiller, split, baselines, models={}, n_full=0)
    rows = table[["data", "schedule", "n_scores"]].to_dict("split")["data"]
    assert rows[1:] == [
        ["RandomSamples", "fixed", 6],
        ["RandomSamples (2)", "fixed", 3],
        ["RandomSamples (2)", "learned", 3],
        ["RandomSamples (3)", "fixed", 3],
        ["RandomSamples (4)", "fixed", 3],
    ]


def normal(module, std):
    for p in module.parameters():
        torch.nn.init.normal_(p, std=std)


def test_another_student_knows_no_net_even_where_one_fits(split):
    distiller = tiny(init="fixed").fit(*split[:2])
    twin = net().set_params(optimizer=torch.optim.Adam)
    table, _ = compared(
        distiller, split, [small(Herding, init="fixed")], students={"twin": twin}, models={},
        n_full=0,
    )  # fmt: skip
    assert set(table[table.model == "twin"].n_scores) == {3}
    assert set(table[table.model == "MLP"].n_scores) == {1}


def test_all_data_are_gone_through_often_enough(distiller, split):
    table, _ = compared(distiller, split, [], n_full=2, full_epochs=None)
    all_data = table[table.data == "all data"].set_index("model")["mean"]
    assert all_data["MLP"] > 0.95
    assert all_data["MLP"] > all_data["1-NN"]


def test_all_data_teach_the_student_that_the_plan_took(split, monkeypatch):
    given = []

    def record(*args, **options):
        given.append(options["student"])
        return train_pool(*args, **options)

    monkeypatch.setattr(bench, "train_pool", record)
    distiller = DatasetDistiller(max_iter=1, random_state=0).fit(*split[:2])
    compare(distiller, *split, baselines=[], models={}, n_inits=1, n_full=1, full_epochs=1)
    assert given == [distiller.plan_["student"]]


@pytest.mark.parametrize("call", [partial(compared, baselines=[]), all_baselines])
def test_only_a_fitted_distiller_of_classes_can_be_compared(call, split):
    with pytest.raises(NotFittedError):
        call(tiny(), split)
    regressor = DatasetDistillerRegressor(max_iter=1, student=net(), n_epochs=1).fit(*split[:2])
    with pytest.raises(ValueError, match=r"takes a multiclass y, but .* on a continuous y"):
        call(regressor, split)
    with pytest.raises(TypeError, match=r"takes a fitted distiller, got Pipeline.*pipe\[-1\]"):
        call(make_pipeline(tiny()), split)


@pytest.mark.filterwarnings("error")
def test_names_of_columns_bring_no_warning(split):
    X, y, X_test, y_test = split
    frames = pd.DataFrame(X).add_prefix("f"), pd.DataFrame(X_test).add_prefix("f")
    compared(tiny().fit(frames[0], y), (frames[0], y, frames[1], y_test), [small(RandomSamples)])
    compared(tiny().set_output(transform="pandas").fit(X, y), split, [small(RandomSamples)])


def test_numbers_are_checked_before_the_work(distiller, split):
    with pytest.raises(ValueError, match="full_epochs == 0"):
        compared(distiller, split, [Unused()], full_epochs=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"students": {"MLP": net()}}, "students has the name 'MLP', which is the distiller's own"),
        ({"models": {"MLP": MODELS["1-NN"]}}, "models has the name 'MLP', which is the distiller"),
        (
            {"students": {"1-NN": net()}, "models": MODELS},
            "models has the name '1-NN', which is of students",
        ),
    ],
)
def test_every_model_needs_a_name_of_its_own(given, message, distiller, split):
    with pytest.raises(ValueError, match=message):
        compared(distiller, split, [Unused()], **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"baselines": Unused()}, "baselines must be a list of .*, got Unused. Wrap"),
        (
            {"baselines": [MODELS["1-NN"]]},
            r"baselines\[0\] must be a baseline .* Pass .* in models",
        ),
        ({"models": [MODELS["1-NN"]]}, "models must be a dict, name -> model, got list"),
        ({"students": [net()]}, "students must be a dict, name -> model, got list"),
    ],
)
def test_what_holds_sets_and_models_is_checked_before_the_work(given, message, distiller, split):
    with pytest.raises(TypeError, match=message):
        compared(distiller, split, **({"baselines": [Unused()]} | given))


@pytest.mark.parametrize("wrong", [{"schedules": "fixed"}, {"schedules": ["learnt"]}])
def test_schedules_are_a_list_of_two_names(wrong, distiller):
    with pytest.raises(ValueError, match="schedules must be a list of"):
        all_baselines(distiller, **wrong)


def test_there_is_no_negative_number_of_random_sets(distiller):
    with pytest.raises(ValueError, match="n_random == -1"):
        all_baselines(distiller, n_random=-1)


def test_the_default_compares_with_everything(split, monkeypatch):
    # The package has a function of the module's name.
    module = importlib.import_module("sklearn_dd._comparison.compare")
    distiller = tiny().fit(*split[:2])
    cheap = partial(all_baselines, schedules=["fixed"], n_random=1, n_sets=2)
    monkeypatch.setattr(module, "all_baselines", cheap)
    table, _ = compare(distiller, *split, n_inits=2, n_full=1, full_epochs=1)
    names = {baseline.__name__ for baseline in BASELINES}
    assert set(table["data"]) == {"distilled", "RandomSamples, best of 2", *names, "all data"}
    assert set(table["model"]) == {
        "MLP", "logistic regression", "random forest", "nearest neighbour",
    }  # fmt: skip
