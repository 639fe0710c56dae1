"""The table of a comparison, and its verdict in words."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from sklearn_dd import (
    Herding,
    KCenters,
    KMeansCenters,
    RandomSamples,
    compare,
)
from sklearn_dd._comparison.table import Cell, Kind, Scored, Spent, summarise

from ..helpers import (
    net,
    tiny,
)
from .common import MODELS, cell, compared, small


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
    mean, std = X_train.mean(axis=0), X_train.std(axis=0)
    for data, X, y in [("distilled", X_syn, y_syn), ("all data", X_train, y_train)]:
        neighbour = KNeighborsClassifier(1).fit((X - mean) / std, y)
        expected = neighbour.score((X_test - mean) / std, y_test)
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


def test_equal_sets_of_two_names_both_meet_every_model(distiller, split):
    table, _ = compared(distiller, split, [small(Herding), small(KCenters)], n_full=0)
    assert set(table[table.model == "1-NN"].data) == {"distilled", "Herding", "KCenters"}


def test_it_says_where_distillation_helped(distiller, split):
    bad = small(RandomSamples, step_sizes=[1e-6])
    _, verdict = compared(distiller, split, [bad], models={}, n_full=0)
    assert verdict.startswith("Distillation helped: MLP on the distilled set has 0.")
    assert "did not" not in verdict


def test_it_says_where_distillation_did_not_help(split):
    bad = tiny(data_init="noise", max_iter=1).fit(*split[:2])
    table, verdict = compared(bad, split, [small(KMeansCenters)], n_full=0)
    best = table[table.data == "KMeansCenters"]["mean"].max()
    assert verdict.startswith("Distillation did not help: 1-NN on the distilled set has 0.")
    assert f"{best:.3f}." in verdict
    assert "With 1-NN it did not help: 0." in verdict


def test_without_other_sets_it_says_nothing(distiller, split):
    _, verdict = compared(distiller, split, [], models={}, n_full=0)
    assert verdict == "There is no other small set to compare with."


def test_the_verdict_names_the_size_of_another_set(distiller, split):
    _, verdict = compared(distiller, split, [small(RandomSamples, n_per_class=5)], n_full=0)
    assert "on RandomSamples (15 samples), 0." in verdict


COLUMNS = {
    "data", "schedule", "model", "n_samples", "mean", "std", "low", "high", "n_scores",
    "hard_label_recovery", "improvement_over_random", "n_bytes", "fit_time", "train_time",
    "pays_after",
}  # fmt: skip


@pytest.mark.parametrize("has_pandas", [True, False], ids=["pandas", "no pandas"])
def test_the_table_is_a_dict_of_arrays_with_pandas_or_without(
    distiller, split, monkeypatch, has_pandas
):
    if not has_pandas:
        found = builtins.__import__

        def without_pandas(name, *rest, **options):
            if name.split(".")[0] == "pandas":
                raise ImportError(name)
            return found(name, *rest, **options)

        monkeypatch.delitem(sys.modules, "pandas")
        monkeypatch.setattr(builtins, "__import__", without_pandas)
    table, _ = compare(distiller, *split, baselines=[], models=MODELS, n_inits=3, n_full=0)
    assert type(table) is dict
    assert set(table) == COLUMNS
    assert {type(column) for column in table.values()} == {np.ndarray}
    assert {column.shape for column in table.values()} == {(3,)}
    assert list(table["data"]) == ["distilled"] * 3
    assert table["mean"].dtype == float
    assert np.isnan(table["hard_label_recovery"]).all()
    if has_pandas:
        frame = pd.DataFrame(table)
        assert frame.shape == (3, len(COLUMNS))
        assert frame["mean"].tolist() == table["mean"].tolist()


FREE = Spent(0, 0.0, 0.0)
DISTILLED, CENTERS = (Kind.DISTILLED, "distilled"), (Kind.OTHER, "KMeansCenters")


def verdict_of(scores):
    """Of scores by set and model, each of three students."""
    cells = [
        Scored(Cell(kind, data, "learned", model, 3), np.array(of), FREE)
        for ((kind, data), model), of in scores.items()
    ]
    return summarise(cells).verdict


def test_the_best_model_of_one_side_meets_the_best_of_the_other():
    means = {
        (DISTILLED, "MLP"): 0.90, (CENTERS, "MLP"): 0.50,
        (DISTILLED, "1-NN"): 0.95, (CENTERS, "1-NN"): 0.93,
        (DISTILLED, "logistic"): 0.50, (CENTERS, "logistic"): 0.50,
    }  # fmt: skip
    assert verdict_of({of: [mean] * 3 for of, mean in means.items()}) == (
        "Distillation helped: 1-NN on the distilled set has 0.950; the best on another set, 1-NN "
        "on KMeansCenters (3 samples), 0.930. With logistic it did not help: 0.500 on the "
        "distilled set, 0.500 on KMeansCenters."
    )


def test_it_says_where_chance_may_be_why(distiller, split):
    _, verdict = compared(distiller, split, [distiller], models={}, n_full=0)
    assert verdict.startswith("Distillation did not help")  # its equal is no worse
    own = [0.7, 0.8, 0.9]
    better = verdict_of({(DISTILLED, "MLP"): own, (CENTERS, "MLP"): [0.79] * 3})
    assert better.startswith("Distillation is not shown to help")
    much_better = verdict_of({(DISTILLED, "MLP"): own, (CENTERS, "MLP"): [0.5] * 3})
    assert much_better.startswith("Distillation helped")


def test_a_set_pays_when_the_trainings_that_it_shortens_have_saved_what_it_took():
    def pays_after(fit_time, train_time):
        small = Scored(own, np.array([0.9]), Spent(10, fit_time, train_time))
        full = Scored(full_data, np.array([0.9]), Spent(1000, 0.0, 3.0))
        return summarise([small, full]).table["pays_after"].tolist()

    own = Cell(Kind.DISTILLED, "distilled", "learned", "MLP", 3)
    full_data = Cell(Kind.ALL_DATA, "all data", "fixed", "MLP", 100)
    assert pays_after(fit_time=10.0, train_time=1.0) == [5, pytest.approx(np.nan, nan_ok=True)]
    assert pays_after(fit_time=10.0, train_time=3.0)[0] == np.inf


def test_the_table_says_what_sets_take(table, distiller):
    X_syn, y_syn, lrs = distiller.transform()
    row = cell(table, "distilled", "MLP")
    assert row["n_bytes"] == X_syn.nbytes + y_syn.nbytes + lrs.nbytes
    assert row["fit_time"] == distiller.fit_time_
    assert (table.train_time > 0).all()
    assert (table[table.data == "all data"].fit_time == 0).all()
    assert (table[table.data == "RandomSamples"].fit_time > 0).all()
