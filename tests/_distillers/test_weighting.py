"""sample_weight and class_weight say how much each real sample counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_wine
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_dd import DatasetDistillerRegressor
from sklearn_dd._distillers.look import evenly
from sklearn_dd._distillers.problem import Problem

from ..helpers import (
    FROZEN,
    assert_same_fit,
    evaluated_students,
    named,
    same,
    tiny,
    tiny_regressor,
)


@pytest.fixture(scope="module")
def numbers():
    """(442, 10) measurements, and how a disease went on."""
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def labelled():
    """The table with three labels that overlap."""
    X, y = load_wine(return_X_y=True)
    return X, np.column_stack([y == 0, y <= 1, y >= 1]).astype(int)


@pytest.fixture(scope="module")
def weights():
    """For the table: 0, 1, 2 or 3."""
    return np.random.default_rng(0).integers(0, 4, size=178).astype(float)


@pytest.fixture(scope="module")
def weighted_regressor(numbers):
    X, y = numbers
    return tiny_regressor(n_samples=4).fit(X, y, half_of(y))


def half_of(y):
    """1 for a random half of the samples, 0 for the others."""
    return np.random.default_rng(1).permutation(np.arange(len(y)) % 2).astype(float)


def problem_of(distiller, X, y, sample_weight=None):
    return Problem.from_parameters(distiller, X, y, sample_weight, 0, None)


# --------------------------------------------------------------------------- what weights stand for


@pytest.mark.parametrize("weight", [1.0, 0.3, 7])
def test_weights_that_are_all_alike_change_no_bit(table, weight):
    X, y = table
    assert_same_fit(tiny().fit(X, y, np.full(len(y), weight)), tiny().fit(X, y))


def test_weights_that_are_all_alike_change_no_bit_of_other_targets(labelled, numbers):
    for make, (X, y) in ((tiny, labelled), (tiny_regressor, numbers)):
        assert_same_fit(make().fit(X, y, np.full(len(y), 0.3)), make().fit(X, y))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3, 1: 0.5, 2: 1}, {1: 4}], ids=named)
def test_weights_of_classes_are_those_of_their_samples(table, class_weight):
    X, y = table
    by_class = tiny(class_weight=class_weight).fit(X, y)
    by_sample = tiny().fit(X, y, compute_sample_weight(class_weight, y))
    assert_same_fit(by_class, by_sample)
    assert not same(by_class.transform(), tiny().fit(X, y).transform())


def test_classes_are_named_in_a_dict_as_in_y(table):
    X, y = table
    names = np.array(["red", "rosé", "white"])
    named_ones = tiny(class_weight={"white": 5, "red": 2}).fit(X, names[y])
    assert_array_equal(named_ones.X_syn_, tiny(class_weight={2: 5, 0: 2}).fit(X, y).X_syn_)


def test_weights_of_classes_and_samples_are_multiplied(table, weights):
    X, y = table
    both = tiny(class_weight={1: 4}).fit(X, y, weights)
    assert_same_fit(both, tiny().fit(X, y, weights * np.where(y == 1, 4, 1)))


def test_balanced_classes_need_no_weights(table):
    X, y = table
    rows = np.concatenate([np.flatnonzero(y == c)[:40] for c in range(3)])
    assert_same_fit(
        tiny(class_weight="balanced").fit(X[rows], y[rows]), tiny().fit(X[rows], y[rows])
    )


def test_the_scale_of_weights_does_not_matter(table, weights):
    X, y = table
    assert_same_fit(tiny().fit(X, y, 4 * weights), tiny().fit(X, y, weights))


def test_weights_may_come_in_any_container(table, weights):
    X, y = table
    expected = tiny().fit(X, y, weights)
    for given in (weights.tolist(), pd.Series(weights), torch.tensor(weights), weights.astype(int)):
        assert_same_fit(tiny().fit(X, y, sample_weight=given), expected)


def test_true_and_false_are_weights(table):
    X, y = table
    half = half_of(y)
    assert_same_fit(tiny().fit(X, y, half == 1), tiny().fit(X, y, half))


def test_an_imbalanced_set_is_learned_by_class_where_classes_weigh_alike():
    gains = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        rare = np.array([1.5, 1.0, 0.0, 0.0])
        X, y = rng.normal(size=(400, 4)), np.repeat([0, 1], [380, 20])
        X_new, y_new = rng.normal(size=(2000, 4)), np.repeat([0, 1], 1000)
        X[y == 1] += rare
        X_new[y_new == 1] += rare
        scores = [
            balanced_accuracy_score(
                y_new,
                tiny(class_weight=w, max_iter=150, random_state=seed).fit(X, y).predict(X_new),
            )
            for w in (None, "balanced")
        ]
        gains.append(scores[1] - scores[0])
    assert min(gains) > 0.03


# --------------------------------------------------------------------------------- rows of weight 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data_init": "real", "n_per_class": 3},
        {"data_init": "mean"},
        {"data_init": "auto", "distill_lr": None},
        {"validation_fraction": 0.0},
    ],
    ids=named,
)
def test_what_rows_of_weight_0_hold_does_not_matter(table, changes):
    """Neither batches nor looks nor starts see them, where no units are taken from X."""
    X, y = table
    half, changes = half_of(y), changes | {"standardize": False, "max_iter": 30}
    X = (X - X.mean(0)) / X.std(0)
    other = np.where(half[:, None] > 0, X, 100.0)
    assert_same_fit(tiny(**changes).fit(X, y, half), tiny(**changes).fit(other, y, half))


def test_what_rows_of_weight_0_hold_does_not_matter_for_units(table):
    X, y = table
    half = half_of(y)
    other = np.where(half[:, None] > 0, X, 1e4)
    assert_same_fit(tiny().fit(X, y, half), tiny().fit(other, y, half))


@pytest.mark.parametrize("data_init", ["kmeans", "mean", "real", "herding", "kcenters", "noise"])
def test_what_rows_of_weight_0_hold_does_not_matter_for_a_regressor(numbers, data_init):
    X, y = numbers
    half, changes = half_of(y), {"n_samples": 4, "standardize": False, "data_init": data_init}
    X = X / X.std(0)
    other = np.where(half[:, None] > 0, X, 100.0)
    assert_same_fit(
        tiny_regressor(**changes).fit(X, y, half), tiny_regressor(**changes).fit(other, y, half)
    )


def test_targets_of_weight_0_do_not_matter_for_the_units_of_y(numbers):
    X, y = numbers
    half = half_of(y)
    found = tiny_regressor(n_samples=4).fit(X, np.where(half > 0, y, 1e6), half)
    assert_same_fit(tiny_regressor(n_samples=4).fit(X, y, half), found)


def test_no_part_of_the_real_set_has_a_row_of_weight_0(table):
    X, y = table
    half = half_of(y)
    problem = problem_of(tiny(), X, y, half)
    parts = problem.training.rows, problem.held_out.rows
    assert all(len(rows) for rows in parts)
    assert_array_equal(np.sort(np.concatenate(parts)), problem.everything.rows)
    assert_array_equal(problem.real.X[problem.everything.rows], X[half > 0])


def test_real_starts_are_rows_that_have_weight(table):
    X, y = table
    half = half_of(y)
    chosen = tiny(n_per_class=20, n_steps=1, data_init="real", **FROZEN).fit(X, y, half).X_syn_
    distances = np.abs((chosen[:, None] - X) / X.std(0)).max(-1)
    assert distances.min(1).max() < 1e-4
    assert half[distances.argmin(1)].all()
    assert len(np.unique(distances.argmin(1))) == 60


@pytest.mark.parametrize("k", range(4))
def test_a_class_may_have_weight_on_a_single_row(table, k):
    """Whichever row it is, even if half of all rows are held out."""
    X, y = table
    lonely = np.where(y == 1, 0.0, 1.0)
    lonely[np.flatnonzero(y == 1)[k]] = 1
    distiller = tiny(validation_fraction=0.5).fit(X, y, lonely)
    assert distiller.n_per_class_ == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("k", range(4))
def test_a_regression_may_have_weight_on_few_rows(numbers, k):
    X, y = numbers
    lonely = np.zeros(len(y))
    lonely[k] = 1
    assert len(tiny_regressor(n_samples=2, validation_fraction=0.5).fit(X, y, lonely).y_syn_) == 2


# -------------------------------------------------------------------------------------------- looks


def test_a_look_sees_samples_as_often_as_they_weigh(table):
    X, y = table
    problem = problem_of(tiny(class_weight={0: 1e-6, 2: 3}), X, y)
    rows = problem.training.rows
    seen = evenly(problem, rows)
    assert len(seen) == len(rows)
    assert seen.weights is None
    share = np.bincount(y[seen.rows], minlength=3) / len(seen)
    n = np.bincount(y[rows], minlength=3)
    assert_allclose(share, n * [1e-6, 1, 3] / (n @ [1e-6, 1, 3]), atol=2 / len(seen))
    assert set(seen.rows) <= set(rows)


def test_without_weights_a_look_sees_each_sample_once(table):
    problem = problem_of(tiny(), *table)
    rows = problem.held_out.rows
    assert_array_equal(evenly(problem, rows).rows, rows)


def test_each_look_of_a_fit_sees_the_same_samples(table, weights):
    problem = problem_of(tiny(), *table, weights)
    one, other = (evenly(problem, problem.held_out.rows).rows for _ in range(2))
    assert_array_equal(one, other)


def test_students_are_alive_where_a_look_sees_one_sample_alone():
    """Their outputs are then the same for all of it, which does not mean that they are constant."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4)), np.repeat([0, 1], [10, 190])
    X[y == 0] += 2
    heavy = np.where(y == 0, 1000.0, 1.0)
    found = [
        tiny(max_iter=60, random_state=seed).fit(X, y, heavy).history_["dead_share"]
        for seed in range(3)
    ]
    assert not np.any(found)


# ------------------------------------------------------------------------------------------- scores


def test_weights_of_classes_do_not_enter_the_score(table):
    X, y = table
    distiller = tiny(class_weight={0: 100, 1: 0.01}).fit(X, y)
    assert distiller.score(X, y) == accuracy_score(y, distiller.predict(X))
    by_hand = [accuracy_score(y, s.predict(X)) for s in evaluated_students(distiller, 3)]
    assert_allclose(distiller.evaluate(X, y, n_inits=3).scores, by_hand)


def test_weights_of_the_fit_do_not_enter_the_score(table, weights):
    X, y = table
    distiller = tiny().fit(X, y, weights)
    assert distiller.score(X, y) == accuracy_score(y, distiller.predict(X))


def test_a_score_takes_weights_of_its_own(table, weights, numbers, weighted_regressor):
    X, y = table
    distiller = tiny().fit(X, y)
    found = distiller.score(X, y, sample_weight=weights)
    assert found == accuracy_score(y, distiller.predict(X), sample_weight=weights)
    assert found != distiller.score(X, y)
    X, y = numbers
    w = np.random.default_rng(2).random(len(y))
    predicted = weighted_regressor.predict(X)
    assert weighted_regressor.score(X, y, sample_weight=w) == r2_score(
        y, predicted, sample_weight=w
    )


def cases():
    """Data, a distiller, and a scorer by name."""
    wine, diabetes = load_wine(return_X_y=True), load_diabetes(return_X_y=True)
    labels = np.column_stack([wine[1] == 0, wine[1] <= 1, wine[1] >= 1]).astype(int)
    wines = wine[0], np.array(["red", "rosé", "white"])[wine[1]]
    regressor = tiny_regressor(n_samples=4)
    return {
        "accuracy": (wines, tiny(), None),
        "log loss": (wines, tiny(), "neg_log_loss"),
        "balanced accuracy": (wines, tiny(), "balanced_accuracy"),
        "labels": ((wine[0], labels), tiny(), None),
        "f1 of labels": ((wine[0], labels), tiny(), "f1_macro"),
        "R2": (diabetes, regressor, None),
        "absolute error": (diabetes, regressor, "neg_mean_absolute_error"),
    }


@pytest.fixture(scope="module", params=cases())
def scored(request):
    (X, y), distiller, scoring = cases()[request.param]
    return X, y, distiller.fit(X, y), {"n_inits": 3, "scoring": scoring}


def test_scores_with_weights_1_and_0_are_those_of_the_rows_of_weight_1(scored):
    X, y, distiller, settings = scored
    half = half_of(y)
    found = distiller.evaluate(X, y, sample_weight=half, **settings).scores
    assert_allclose(
        found, distiller.evaluate(X[half > 0], y[half > 0], **settings).scores, rtol=1e-6, atol=1e-6
    )
    assert not np.allclose(found, distiller.evaluate(X, y, **settings).scores, rtol=1e-3)


def test_scores_with_whole_weights_are_those_of_repeated_rows(scored):
    X, y, distiller, settings = scored
    times = np.random.default_rng(3).integers(0, 4, size=len(y))
    found = distiller.evaluate(X, y, sample_weight=times, **settings).scores
    repeated = distiller.evaluate(X.repeat(times, axis=0), y.repeat(times, axis=0), **settings)
    assert_allclose(found, repeated.scores, rtol=1e-6)


def test_scores_with_weights_that_are_all_alike_are_the_plain_scores(scored):
    X, y, distiller, settings = scored
    found = distiller.evaluate(X, y, sample_weight=np.full(len(y), 0.3), **settings).scores
    assert_allclose(found, distiller.evaluate(X, y, **settings).scores, rtol=1e-6)


def test_each_step_is_scored_with_the_weights(table, weights):
    X, y = table
    distiller = tiny().fit(X, y)
    settings = {"n_inits": 2, "each_step": True, "sample_weight": weights}
    found = distiller.evaluate(X, y, **settings).step_scores
    assert_allclose(found, distiller.evaluate(X, y, scoring="accuracy", **settings).step_scores)
    assert found.shape == (4, 2)
    assert_array_equal(distiller.transform().evaluate(X, y, **settings).step_scores, found)


def test_weighted_scores_are_those_of_the_students_by_hand(table, weights):
    X, y = table
    distiller = tiny().fit(X, y)
    students = evaluated_students(distiller, 3)
    settings = {"n_inits": 3, "sample_weight": weights}
    by_hand = [accuracy_score(y, s.predict(X), sample_weight=weights) for s in students]
    assert_allclose(distiller.evaluate(X, y, **settings).scores, by_hand)
    by_hand = [-log_loss(y, s.predict_proba(X), sample_weight=weights) for s in students]
    found = distiller.evaluate(X, y, scoring="neg_log_loss", **settings).scores
    assert_allclose(found, by_hand, rtol=1e-4)


# ------------------------------------------------------------------------------------------- errors


def bad_weights(n):
    negative, missing = np.ones(n), np.ones(n)
    negative[3], missing[3] = -1, np.nan
    return {
        "negative": negative,
        "nan": missing,
        "short": np.ones(n - 1),
        "2-D": np.ones((n, 1)),
        "strings": np.array(["heavy"] * n),
        "zero": np.zeros(n),
        "number": 2.0,
    }


@pytest.mark.parametrize("case", bad_weights(5))
def test_bad_weights_are_named_and_change_nothing(table, numbers, case):
    for distiller, (X, y) in ((tiny(), table), (tiny_regressor(n_samples=2), numbers)):
        with pytest.raises(ValueError, match=r"^sample_weight "):
            distiller.fit(X, y, bad_weights(len(y))[case])
        assert not [name for name in vars(distiller) if name.endswith("_")]
        distiller.fit(X, y)
        before = dict(vars(distiller))
        with pytest.raises(ValueError, match=r"^sample_weight "):
            distiller.fit(X[:, :5], y, bad_weights(len(y))[case])
        assert vars(distiller).keys() == before.keys()
        assert all(vars(distiller)[name] is value for name, value in before.items())


@pytest.mark.parametrize("case", bad_weights(5))
@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_bad_weights_of_a_score_are_named(fitted, table, case, scoring):
    X, y = table
    with pytest.raises(ValueError, match=r"^sample_weight "):
        fitted.evaluate(X, y, n_inits=1, scoring=scoring, sample_weight=bad_weights(len(y))[case])


def test_a_bad_weight_leaves_no_checkpoint(table, tmp_path):
    X, y = table
    with pytest.raises(ValueError, match=r"^sample_weight "):
        tiny(checkpoint=tmp_path / "c", checkpoint_every=1).fit(X, y, -np.ones(len(y)))
    assert not [*tmp_path.iterdir()]


def test_a_class_without_weight_is_named(table):
    X, y = table
    names = np.array(["red", "rosé", "white"])[y]
    for changes, sample_weight in (({}, y != 1), ({"class_weight": {"rosé": 0}}, None)):
        with pytest.raises(ValueError, match=r"^sample_weight and class_weight .*\['rosé'\]"):
            tiny(**changes).fit(X, names, sample_weight)


def test_a_label_without_weight_is_named(labelled):
    X, y = labelled
    with pytest.raises(ValueError, match=r"sample_weight"):
        tiny().fit(X, y, y[:, 0] == 0)


@pytest.mark.parametrize(
    "class_weight", [{5: 1}, {0: -1}, {0: np.nan}, {0: np.inf}, {0: "a"}, {"0": 1}], ids=str
)
def test_bad_weights_of_classes_are_named_and_change_nothing(table, class_weight):
    X, y = table
    distiller = tiny().fit(X, y).set_params(class_weight=class_weight)
    before = dict(vars(distiller))
    with pytest.raises(ValueError, match=r"^class_weight=.* must give classes of y, \[0, 1, 2\]"):
        distiller.fit(X[:, :5], y)
    assert vars(distiller).keys() == before.keys()
    assert all(vars(distiller)[name] is value for name, value in before.items())


@pytest.mark.parametrize("class_weight", ["heavy", 2, [1, 1, 2]], ids=str)
def test_what_is_no_weight_of_classes_is_refused(table, class_weight):
    with pytest.raises(ValueError, match="'class_weight' parameter of DatasetDistiller"):
        tiny(class_weight=class_weight).fit(*table)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2}], ids=str)
def test_labels_have_no_weights_of_classes(labelled, class_weight):
    with pytest.raises(ValueError, match=r"^class_weight=.* multiclass y.*sample_weight"):
        tiny(class_weight=class_weight).fit(*labelled)


def test_a_regressor_has_no_weights_of_classes():
    with pytest.raises(TypeError, match="class_weight"):
        DatasetDistillerRegressor(class_weight="balanced")


# --------------------------------------------------------------------------------------- resumption


def test_a_resumed_fit_needs_the_weights_that_it_began_with(table, weights, tmp_path):
    X, y = table
    whole = tiny(checkpoint=tmp_path / "c", checkpoint_every=2).fit(X, y, weights)
    resumed = tiny().fit(X, y, weights, resume_from=tmp_path / "c")
    assert_same_fit(resumed, whole)
    for other in (None, weights[::-1], weights + 1):
        with pytest.raises(ValueError, match=r"weights was .* and is .*start afresh"):
            tiny().fit(X, y, other, resume_from=tmp_path / "c")


def test_a_resumed_fit_needs_the_weights_of_classes_that_it_began_with(table, tmp_path):
    changes = {"class_weight": {0: 2, 1: 1.5}}
    tiny(checkpoint=tmp_path / "c", checkpoint_every=2, **changes).fit(*table)
    tiny(**changes).fit(*table, resume_from=tmp_path / "c")
    with pytest.raises(ValueError, match=r"class_weight was .* and is None"):
        tiny().fit(*table, resume_from=tmp_path / "c")


# ----------------------------------------------------------------------------- through scikit-learn


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


SPLIT = StratifiedKFold(2)


def scores_by_hand(X, y, w):
    return [
        tiny().fit(X[a], y[a], w[a]).score(X[b], y[b], sample_weight=w[b])
        for a, b in SPLIT.split(X, y)
    ]


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_cross_validation(table, weights):
    X, y = table
    distiller = tiny().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    found = cross_validate(distiller, X, y, params={"sample_weight": weights}, cv=SPLIT)
    assert_allclose(found["test_score"], scores_by_hand(X, y, weights))


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_a_grid_search(table, weights):
    X, y = table
    distiller = tiny().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    search = GridSearchCV(distiller, {"class_weight": [None, "balanced"]}, cv=SPLIT)
    search.fit(X, y, sample_weight=weights)
    expected = tiny(**search.best_params_).fit(X, y, weights)
    assert same(search.best_estimator_.transform(), expected.transform())


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_a_pipeline(table, weights):
    X, y = table
    expected = tiny().fit(X, y, weights).transform()
    pipeline = Pipeline([("distiller", tiny().set_fit_request(sample_weight=True))])
    assert same(pipeline.fit(X, y, sample_weight=weights)[-1].transform(), expected)
    assert same(pipeline.fit_transform(X, y, sample_weight=weights), expected)


def test_without_routing_a_pipeline_takes_weights_by_the_name_of_its_step(table, weights):
    X, y = table
    expected = tiny().fit(X, y, weights).transform()
    pipeline = Pipeline([("distiller", tiny())])
    assert same(pipeline.fit(X, y, distiller__sample_weight=weights)[-1].transform(), expected)
    assert same(pipeline.fit_transform(X, y, distiller__sample_weight=weights), expected)


def test_without_routing_a_grid_search_takes_weights_of_the_fit(table, weights):
    X, y = table
    search = GridSearchCV(tiny(), {"n_epochs": [2, 3]}, cv=SPLIT).fit(X, y, sample_weight=weights)
    expected = tiny(**search.best_params_).fit(X, y, weights)
    assert same(search.best_estimator_.transform(), expected.transform())


def test_fit_transform_passes_what_a_fit_takes(table, weights, numbers, tmp_path):
    X, y = table
    fitted = tiny(checkpoint=tmp_path / "c", checkpoint_every=2).fit(X, y, weights)
    assert same(tiny().fit_transform(X, y, sample_weight=weights), fitted.transform())
    resumed = tiny().fit_transform(X, y, sample_weight=weights, resume_from=tmp_path / "c")
    assert same(resumed, fitted.transform())
    X, y = numbers
    half = half_of(y)
    expected = tiny_regressor(n_samples=4).fit(X, y, half).transform()
    assert same(tiny_regressor(n_samples=4).fit_transform(X, y, sample_weight=half), expected)
    with pytest.raises(TypeError, match="heaviness"):
        tiny().fit_transform(*table, heaviness=weights)
