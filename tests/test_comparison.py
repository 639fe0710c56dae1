"""One table of what a distilled set has to beat, and a plain word on whether it did."""

from __future__ import annotations

import importlib
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_dd import DatasetDistillerRegressor, comparison
from sklearn_dd.baselines import Baseline, Herding, KCenters, KMeansCenters, RandomSamples
from sklearn_dd.comparison import all_baselines, compare
from sklearn_dd.pools import train_pool

from .conftest import net, tiny

MODELS = {"1-NN": KNeighborsClassifier(1), "logistic": LogisticRegression()}


def small(baseline, **changes):
    settings = {"n_epochs": 3, "step_sizes": [0.1], "student": net(), "device": "cpu"}
    return baseline(**(settings | {"random_state": 0, "max_iter": 3} | changes))


class Unused(RandomSamples):
    def fit(self, X, y):
        pytest.fail("it was fitted")


@pytest.fixture(scope="module")
def split():
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    return X_train, y_train, X_test, y_test


def compared(distiller, split, baselines, **changes):
    settings = {"models": MODELS, "n_inits": 3, "n_full": 2, "full_epochs": 2}
    return compare(distiller, *split, baselines=baselines, **(settings | changes))


@pytest.fixture(scope="module")
def distiller(split):
    return tiny(n_epochs=10, max_iter=60).fit(*split[:2])


@pytest.fixture(scope="module")
def table(distiller, split):
    """Three sets, two students, two models and all data. Not to be changed."""
    baselines = [
        small(RandomSamples),
        small(RandomSamples, random_state=1),
        small(KMeansCenters),
        small(KMeansCenters, schedule="learned"),
    ]
    students = {"wide": net(width=16)}
    return compared(distiller, split, baselines, students=students).table


def cell(table, data, model, schedule=None):
    rows = table[(table.data == data) & (table.model == model)]
    if schedule is not None:
        rows = rows[rows.schedule == schedule]
    (row,) = rows.to_dict("records")
    return row


# ------------------------------------------------------------------------------------ the table


def test_every_set_meets_every_model(table):
    students = ["MLP", "wide"]
    trained = [("distilled", "learned"), ("RandomSamples", "fixed"), ("KMeansCenters", "fixed")]
    trained += [("KMeansCenters", "learned"), ("all data", "fixed")]
    wanted = {(data, schedule, model) for data, schedule in trained for model in students}
    sets = ["distilled", "RandomSamples", "KMeansCenters", "all data"]
    wanted |= {(data, "", model) for data in sets for model in MODELS}
    found = list(zip(table.data, table.schedule, table.model, strict=True))
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert set(table[table.data == "all data"].n_samples) == {133}
    assert set(table[table.data != "all data"].n_samples) == {3}


def test_the_distilled_set_has_the_accuracies_of_evaluate(table, distiller, split):
    for model, student in [("MLP", None), ("wide", net(width=16))]:
        seed = distiller.seed_
        own = distiller.evaluate(*split[2:], n_inits=3, student=student, random_state=seed)
        row = cell(table, "distilled", model)
        assert (row["mean"], row["std"], row["n_scores"]) == (own.mean, own.std, 3)


def test_models_see_standardised_samples(table, distiller, split):
    X_train, y_train, X_test, y_test = split
    X_syn, y_syn, _ = distiller.transform()
    mean, deviation = X_train.mean(axis=0), X_train.std(axis=0)
    for data, X, y in [("distilled", X_syn, y_syn), ("all data", X_train, y_train)]:
        neighbour = KNeighborsClassifier(1).fit((X - mean) / deviation, y)
        expected = neighbour.score((X_test - mean) / deviation, y_test)
        assert cell(table, data, "1-NN")["mean"] == expected


def test_the_interval_is_over_nets_or_where_there_are_several_over_sets(table, distiller, split):
    def interval(of):
        return stats.t.interval(0.95, len(of) - 1, np.mean(of), stats.sem(of))

    row = cell(table, "distilled", "MLP")
    own = distiller.evaluate(*split[2:], n_inits=3, random_state=distiller.seed_).scores
    assert_allclose((row["low"], row["high"]), interval(own))

    row = cell(table, "RandomSamples", "MLP")
    sets = [
        small(RandomSamples, random_state=seed)
        .fit(*split[:2])
        .evaluate(*split[2:], n_inits=3, random_state=distiller.seed_)
        .scores
        for seed in (0, 1)
    ]
    assert row["n_scores"] == 6
    assert_allclose((row["mean"], row["std"]), (np.mean(sets), np.std(sets)))
    assert_allclose((row["low"], row["high"]), interval(np.mean(sets, axis=1)))
    assert np.isnan(cell(table, "distilled", "1-NN")["low"])


def test_differences_are_to_the_same_model_on_all_data_and_on_random_samples(table):
    for row in table.to_dict("records"):
        full = cell(table, "all data", row["model"])["mean"]
        random = cell(table, "RandomSamples", row["model"])["mean"]
        assert_allclose(row["hard_label_recovery"], full - row["mean"])
        assert_allclose(row["improvement_over_random"], row["mean"] - random)


@pytest.mark.parametrize("sizes", [[1, 5], [5, 1]])
def test_random_samples_are_as_many_as_distilled_ones(sizes, distiller, split):
    baselines = [small(RandomSamples, n_per_class=n) for n in sizes]
    table, _ = compared(distiller, split, baselines, models={}, n_full=0)
    means = table.set_index("n_samples")["mean"]
    random = table[(table.n_samples == 3) & (table.data != "distilled")]["mean"].item()
    assert means[15] != random
    assert_allclose(table["improvement_over_random"], table["mean"] - random)


def test_learned_labels_are_hardened_where_hard_ones_are_wanted(split):
    soft = tiny(labels="soft", max_iter=5).fit(*split[:2])
    table = compared(soft, split, [small(Herding)]).table
    assert np.isnan(cell(table, "distilled", "MLP")["hard_label_recovery"])
    hard = cell(table, "distilled, hard labels", "MLP")
    assert hard["hard_label_recovery"] == cell(table, "all data", "MLP")["mean"] - hard["mean"]
    assert set(table[table.model == "1-NN"].data) == {
        "distilled, hard labels", "Herding", "all data",
    }  # fmt: skip
    assert soft.y_syn_.ndim == 2


def test_without_pandas_it_is_a_list(distiller, split, monkeypatch):
    find = importlib.import_module

    def without_pandas(name, package=None):
        if name == "pandas":
            raise ImportError(name)
        return find(name, package)

    monkeypatch.setattr(importlib, "import_module", without_pandas)
    table, _ = compared(distiller, split, [], n_full=0)
    assert [row["data"] for row in table] == ["distilled"] * 3
    assert np.isnan(table[0]["hard_label_recovery"])


# ------------------------------------------------------------------------- how it is come by


def test_every_choice_is_made_on_training_data(distiller, split, monkeypatch):
    X_train, y_train, _, _ = split
    given = []
    fit, train = Baseline.fit, train_pool
    monkeypatch.setattr(Baseline, "fit", lambda self, *data: given.append(data) or fit(self, *data))
    monkeypatch.setattr(
        comparison,
        "train_pool",
        lambda student, X, y, *rest, **options: (
            given.append((X, y)) or train(student, X, y, *rest, **options)
        ),
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
    pools = [
        train_pool(net(), *split[:2], 3, n_epochs=30, lr=0.02, random_state=seed, device="cpu")
        for seed in (0, 1)
    ]
    distiller = tiny(init=pools[0], max_iter=3).fit(*split[:2])
    changes = {"init": pools[1], "models": {}, "n_full": 0}
    table = compared(distiller, split, [], **changes).table
    seed = distiller.seed_
    expected = distiller.evaluate(*split[2:], n_inits=3, init=pools[1], random_state=seed)
    assert cell(table, "distilled", "MLP")["mean"] == expected.mean


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
    assert len(baselines) == 14
    assert {baseline.schedule for baseline in baselines} == {"fixed", "learned"}
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


# ----------------------------------------------------------------------------------- the verdict


def test_it_says_where_distillation_helped(distiller, split):
    bad = small(RandomSamples, step_sizes=[1e-6])
    _, verdict = compared(distiller, split, [bad], models={}, n_full=0)
    assert verdict.startswith("Distillation helped: MLP on the distilled set has 0.")
    assert "did not" not in verdict


def test_the_best_model_of_one_side_meets_the_best_of_the_other(distiller, split):
    table, _ = compared(distiller, split, [small(KMeansCenters)], n_full=0)
    rows = table.to_dict("records")
    means = {
        ("distilled", "MLP"): 0.90,
        ("KMeansCenters", "1-NN"): 0.93,
        ("distilled", "1-NN"): 0.95,
    }
    for row in rows:
        row["mean"] = row["low"] = means.get((row["data"], row["model"]), 0.5)
    assert comparison._verdict(rows) == (
        "Distillation helped: 1-NN on the distilled set has 0.950; the best on another set, 1-NN "
        "on KMeansCenters (3 samples), 0.930. With logistic it did not help: 0.500 on the "
        "distilled set, 0.500 on KMeansCenters."
    )


def test_it_says_where_distillation_did_not_help(split):
    bad = tiny(data_init="noise", max_iter=1).fit(*split[:2])
    table, verdict = compared(bad, split, [small(KMeansCenters)], n_full=0)
    best = table[table.data == "KMeansCenters"]["mean"].max()
    assert verdict.startswith("Distillation did not help: 1-NN on the distilled set has 0.")
    assert f"{best:.3f}." in verdict
    assert "With 1-NN it did not help: 0." in verdict


def test_it_says_where_chance_may_be_why(distiller, split):
    table, verdict = compared(distiller, split, [distiller], models={}, n_full=0)
    assert verdict.startswith("Distillation did not help")  # its equal is no worse
    rows = table.to_dict("records")
    rows[0]["mean"] += 1e-6
    assert comparison._verdict(rows).startswith("Distillation is not shown to help")


def test_without_other_sets_it_says_nothing(distiller, split):
    _, verdict = compared(distiller, split, [], models={}, n_full=0)
    assert verdict == "There is no other small set to compare with."


def test_the_verdict_names_the_size_of_another_set(distiller, split):
    _, verdict = compared(distiller, split, [small(RandomSamples, n_per_class=5)], n_full=0)
    assert "on RandomSamples (15 samples), 0." in verdict


def normal(module, std):
    for p in module.parameters():
        torch.nn.init.normal_(p, std=std)


def test_sets_that_differ_in_more_than_their_draws_are_told_apart(distiller, split):
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


def test_equal_sets_of_two_names_both_meet_every_model(distiller, split):
    table, _ = compared(distiller, split, [small(Herding), small(KCenters)], n_full=0)
    assert set(table[table.model == "1-NN"].data) == {"distilled", "Herding", "KCenters"}


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


@pytest.mark.parametrize("call", [partial(compared, baselines=[]), all_baselines])
def test_only_a_fitted_distiller_of_classes_can_be_compared(call, split):
    with pytest.raises(NotFittedError):
        call(tiny(), split)
    regressor = DatasetDistillerRegressor(max_iter=1, student=net(), n_epochs=1).fit(*split[:2])
    with pytest.raises(ValueError, match=r"takes one class a sample, but .* on numbers"):
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
            r"baselines\[0\] must be a baseline .* Give .* in models",
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
    distiller = tiny().fit(*split[:2])
    cheap = partial(all_baselines, schedules=["fixed"], n_random=1, n_sets=2)
    monkeypatch.setattr(comparison, "all_baselines", cheap)
    table, _ = compare(distiller, *split, n_inits=2, n_full=1, full_epochs=1)
    assert isinstance(table, pd.DataFrame)
    assert set(table.data) == {
        "distilled", "RandomSamples", "RandomSamples, best of 2", "ClassMeans",
        "KMeansCenters", "KCenters", "Herding", "all data",
    }  # fmt: skip
    assert set(table.model) == {
        "MLP", "logistic regression", "random forest", "nearest neighbour",
    }  # fmt: skip
