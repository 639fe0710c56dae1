"""At home in scikit-learn: its own checks, its tools, its conventions."""

from __future__ import annotations

import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from sklearn_dd import DatasetDistiller
from sklearn_dd.engine.priors import xavier_normal
from sklearn_dd.modules import MLP

from .conftest import named, net, tiny, tiny_for_images

# -------------------------------------------------------------------- scikit-learn's own checks

TRIPLE = "transform returns (X, y, lrs), which "
EXPECTED_FAILURES = {
    "check_pipeline_consistency": TRIPLE + "is compared as if it were one array",
    "check_estimators_pickle": TRIPLE + "is compared as if it were one array",
    "check_fit_idempotent": TRIPLE + "is compared as if it were one array",
    "check_transformer_general": TRIPLE + "has not as many rows as the X that was passed",
    "check_transformer_data_not_an_array": TRIPLE + "has not as many rows as the X passed",
    "check_methods_sample_order_invariance": TRIPLE + "has no row for each row of X",
    "check_methods_subset_invariance": TRIPLE + "does not depend on the X that was passed",
}

# Samples that start from the class means tell scikit-learn's blobs apart within a few iterations.
CHECKED = tiny(student=MLP, data_init="mean", n_epochs=10, distill_lr=0.5)


@parametrize_with_checks([CHECKED], expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_every_expected_failure_is_the_name_of_a_check():
    names = {
        getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(CHECKED)
    }
    assert len(EXPECTED_FAILURES) == 7
    assert set(EXPECTED_FAILURES) <= names


# What each of the seven would have covered, said for a triple.


def same(a, b) -> bool:
    """Whether two triples are equal to the bit, types included."""
    return all(
        np.array_equal(p, q) and p.dtype == q.dtype and p.shape == q.shape
        for p, q in zip(a, b, strict=True)
    )


def test_pipeline_of_one_step_does_as_the_distiller_alone(table):  # check_pipeline_consistency
    X, y = table
    alone, pipeline = tiny().fit(X, y), make_pipeline(tiny()).fit(X, y)
    assert_array_equal(pipeline.predict(X), alone.predict(X))
    assert_array_equal(pipeline.predict_proba(X), alone.predict_proba(X))
    assert pipeline.score(X, y) == alone.score(X, y)
    assert same(pipeline.transform(X), alone.transform())
    assert same(make_pipeline(tiny()).fit_transform(X, y), alone.transform())


def through_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("through", [through_pickle, through_joblib])
@pytest.mark.parametrize(
    "changes", [{}, {"init": "fixed"}, {"labels": "soft"}, {"init": xavier_normal}], ids=named
)
def test_a_pickled_distiller_stays_what_it_was(table, through, changes):  # check_estimators_pickle
    X, y = table
    fitted = tiny(**changes).fit(X, y)
    copy = through(fitted)
    assert same(copy.transform(), fitted.transform())
    assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(
        copy.evaluate(X, y, n_inits=2).step_scores, fitted.evaluate(X, y, n_inits=2).step_scores
    )
    assert same(copy.fit_transform(X, y), fitted.transform())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"init": "fixed"},
        {"init": xavier_normal},
        {"labels": "soft"},
        {"labels": "free"},
        {"data_init": "noise"},
        {"data_init": "real"},
        {"n_per_class": 4, "n_steps": 2},
        {"student": None},
    ],
    ids=named,
)
def test_the_same_seed_gives_the_same_bits(table, changes):  # check_fit_idempotent
    X, y = table
    once = tiny(**changes).fit(X, y)
    again = tiny(**changes).fit(X, y)
    assert once.history_ == again.history_
    assert same(once.transform(), again.transform())
    assert_array_equal(once.predict_proba(X), again.predict_proba(X))
    assert_array_equal(
        once.evaluate(X, y, n_inits=3).step_scores, again.evaluate(X, y, n_inits=3).step_scores
    )
    assert same(once.fit(X, y).transform(), again.transform())


def test_the_same_seed_gives_the_same_bits_for_images(images):
    X, y = images
    assert same(tiny_for_images().fit_transform(X, y), tiny_for_images().fit(X, y).transform())


def test_transform_gives_the_distilled_data_whatever_it_is_passed(table):  # ..transformer_general
    X, y = table
    distiller = tiny()
    returned = distiller.fit_transform(X, y)
    for passed in ((), (None,), (X,), (X[:1],), (X + 1,), (X.tolist(),)):
        assert same(distiller.transform(*passed), returned)
    with pytest.raises(ValueError, match="12 features, but DatasetDistiller is expecting 13"):
        distiller.transform(X[:, :-1])
    with pytest.raises(ValueError, match="NaN"):
        distiller.transform(np.full_like(X, np.nan))


class ConvertibleToAnArray:
    """Has ``__array__``, and refuses to take part in NumPy's functions."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __array_function__(self, func, types, args, kwargs):
        raise TypeError(f"called {func.__name__} without converting to an array")


@pytest.mark.parametrize("convert", [np.ndarray.tolist, ConvertibleToAnArray])
def test_data_that_are_not_arrays(table, images, convert):  # check_transformer_data_not_an_array
    for distiller, (X, y) in ((tiny(), table), (tiny_for_images(), images)):
        of_array = clone(distiller).fit(X, y)
        of_other = clone(distiller).fit(convert(X), convert(y))
        assert same(of_other.transform(convert(X)), of_array.transform())
        assert_array_equal(of_other.predict(convert(X)), of_array.predict(X))


def test_predictions_go_with_their_rows(fitted, table):  # check_methods_sample_order_invariance
    X, _ = table
    order = np.random.default_rng(0).permutation(len(X))
    assert_array_equal(fitted.predict(X)[order], fitted.predict(X[order]))
    np.testing.assert_allclose(
        fitted.predict_proba(X)[order], fitted.predict_proba(X[order]), atol=1e-6
    )
    assert same(fitted.transform(X[order]), fitted.transform(X))


def test_predictions_of_a_part_are_a_part_of_the_predictions(fitted, table):  # ..subset_invariance
    X, _ = table
    parts = np.array_split(X, 10)
    assert_array_equal(np.concatenate([fitted.predict(p) for p in parts]), fitted.predict(X))
    np.testing.assert_allclose(
        np.concatenate([fitted.predict_proba(p) for p in parts]),
        fitted.predict_proba(X),
        atol=1e-6,
    )
    for part in parts:
        assert same(fitted.transform(part), fitted.transform(X))


# ------------------------------------------------------------------------------ the conventions


def test_it_is_a_classifier_whose_score_is_accuracy(fitted, table):
    X, y = table
    assert is_classifier(fitted)
    assert fitted.score(X, y) == accuracy_score(y, fitted.predict(X))
    assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], fitted.predict(X))
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-6)


def test_clone_copies_parameters_and_nothing_else(fitted):
    copy = clone(fitted)
    assert copy.get_params()["student__module__width"] == 8
    assert {n: p for n, p in copy.get_params().items() if not n.startswith("student")} == {
        n: p for n, p in fitted.get_params().items() if not n.startswith("student")
    }
    with pytest.raises(NotFittedError):
        copy.transform()


def test_a_clone_keeps_fitted_nets_fitted(table):
    X, y = table
    nets = [
        net()
        .set_params(lr=0.1, verbose=0, module__sample_shape=(13,), module__n_classes=3)
        .fit(X.astype(np.float32), y)
        for _ in range(2)
    ]
    distiller = tiny(init=nets, standardize=False)
    clone(distiller).fit(X, y)
    assert len(cross_val_score(distiller, X, y, cv=2, error_score="raise")) == 2


def test_parameters_of_the_student_are_parameters(table):
    distiller = tiny().set_params(student__module__width=5, n_steps=1)
    distiller.fit(*table)
    assert distiller.student_.module_.net[1].out_features == 5


def test_fit_changes_no_parameter(table):
    distiller = tiny(sample_shape=[13], n_per_class={0: 1, 1: 2, 2: 1})
    before = {n: repr(p) for n, p in distiller.get_params(deep=False).items()}
    distiller.fit(*table)
    assert {n: repr(p) for n, p in distiller.get_params(deep=False).items()} == before


def test_another_seed_gives_another_result(table):
    one, two = (tiny(random_state=seed).fit_transform(*table) for seed in (0, 1))
    assert not np.array_equal(one.X, two.X)


def test_a_random_state_object_is_a_seed_too(table):
    one, two = (tiny(random_state=np.random.RandomState(3)).fit_transform(*table) for _ in range(2))
    assert same(one, two)


def test_the_global_generators_stay_as_they_are(table):
    X, y = table
    torch.manual_seed(5)

    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()

    distiller = tiny().fit(X, y)
    assert states() == before, "by fit"
    distiller.evaluate(X, y, n_inits=2, random_state=1)
    assert states() == before, "by evaluate"
    distiller.transform().train(random_state=1)
    assert states() == before, "by train"
    distiller.predict(X)
    assert states() == before, "by predict"


def test_the_global_generators_decide_nothing(table):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        distiller = tiny().fit(*table)
        results.append((distiller.transform(), distiller.evaluate(*table, n_inits=2).step_scores))
    assert same(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


# ------------------------------------------------------------------------------------ its tools


def test_cross_val_score_stratifies_sorted_labels():
    X, y = load_wine(return_X_y=True)
    assert (np.diff(y) >= 0).all()
    # Folds cut in order would leave out a class altogether, and score 0.
    scores = cross_val_score(CHECKED, X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 1 / 2


def test_pipeline_distils_in_the_units_of_its_last_step(table):
    X, y = table
    pipeline = Pipeline([("scale", StandardScaler()), ("distil", CHECKED)]).fit(X, y)
    X_syn, y_syn, lrs = pipeline[-1].transform()
    assert X_syn.shape == (3, 13)
    assert np.abs(X_syn).max() < 5  # standard deviations; X itself goes to 1,680
    assert_array_equal(y_syn, [0, 1, 2])
    assert lrs.shape == (10, 1)
    assert pipeline.score(X, y) == accuracy_score(y, pipeline.predict(X))


@pytest.mark.parametrize(
    ("container", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)]
)
def test_set_output_makes_data_frames(table, container, frame):
    X, y = table
    names = [f"f{i}" for i in range(13)]
    pipeline = make_pipeline(StandardScaler(), tiny()).set_output(transform=container)
    pipeline.fit(pd.DataFrame(X, columns=names), y)
    X_syn, y_syn, lrs = pipeline[-1].transform()
    assert isinstance(X_syn, frame)
    assert list(X_syn.columns) == names
    assert isinstance(y_syn, np.ndarray)
    assert isinstance(lrs, np.ndarray)

    pipeline.set_output(transform="default")
    assert_array_equal(pipeline[-1].transform().X, X_syn.to_numpy())
    with sklearn.config_context(transform_output=container):
        assert isinstance(tiny().fit_transform(X, y).X, frame)


def test_set_output_leaves_images_arrays(images):
    distiller = tiny_for_images().set_output(transform="pandas")
    assert isinstance(distiller.fit_transform(*images).X, np.ndarray)
    assert distiller.set_output() is distiller
    assert distiller.set_output(transform="default") is distiller


def test_a_data_frame_of_distilled_samples_trains_a_student_as_an_array_does(table):
    distiller = tiny().fit(*table)
    of_array = distiller.transform().train(random_state=0)
    of_frame = distiller.set_output(transform="pandas").transform().train(random_state=0)
    X = table[0]
    assert_array_equal(of_frame.predict_proba(X), of_array.predict_proba(X))


def test_grid_search_in_two_processes(table):
    X, y = table
    grid = [
        {"n_per_class": [2], "n_steps": [1, 2], "n_epochs": [2, 3]},
        {"n_per_class": [1, 2], "student__module__width": [4, 8]},
    ]
    search = GridSearchCV(tiny(max_iter=2), grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    chosen = best.get_params()
    assert search.best_params_.items() <= chosen.items()
    assert best.transform().X.shape == (3 * chosen["n_per_class"], 13)
    assert best.transform().lrs.shape == (chosen["n_epochs"], chosen["n_steps"])
    assert best.student_.module_.net[1].out_features == chosen["student__module__width"]
    assert search.score(X, y) == best.score(X, y)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_feature_names_are_kept_and_checked(table, frame):
    X, y = table
    names = [f"measurement {i}" for i in range(13)]
    real = frame(dict(zip(names, X.T, strict=True)))
    distiller = tiny().fit(real, y)
    assert list(distiller.feature_names_in_) == names
    assert list(distiller.get_feature_names_out()) == names
    assert distiller.n_features_in_ == 13
    assert_array_equal(distiller.predict(real), tiny().fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        distiller.predict(frame(dict(zip(names[::-1], X.T, strict=True))))


def test_feature_names_of_an_array_are_made_up(fitted):
    assert not hasattr(fitted, "feature_names_in_")
    assert list(fitted.get_feature_names_out()) == [f"x{i}" for i in range(13)]


def test_score_is_routed_its_metadata(table):
    X, y = table
    weight = np.where(y == 0, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(
            clone(CHECKED).set_score_request(sample_weight=True),
            X,
            y,
            cv=2,
            params={"sample_weight": weight},
            return_estimator=True,
            return_indices=True,
        )
    for distiller, rows, score in zip(
        routed["estimator"], routed["indices"]["test"], routed["test_score"], strict=True
    ):
        weighted = accuracy_score(y[rows], distiller.predict(X[rows]), sample_weight=weight[rows])
        assert score == weighted


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_read_only_memory_maps_are_read_without_a_word(table, tmp_path, dtype):
    X, y = table[0].astype(dtype), table[1]
    joblib.dump((X, y), tmp_path / "table")
    X_map, y_map = joblib.load(tmp_path / "table", mmap_mode="r")
    assert not X_map.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distiller = tiny().fit(X_map, y_map)
        predicted = distiller.predict(X_map)
        distiller.score(X_map, y_map)
        distiller.evaluate(X_map, y_map, n_inits=2)
        distiller.transform(X_map)
    of_copy = tiny().fit(X, y)
    assert same(distiller.transform(), of_copy.transform())
    assert_array_equal(predicted, of_copy.predict(X))


class Doubled(DatasetDistiller):
    """What a user's subclass looks like."""

    def transform(self, X=None):
        X_syn, y_syn, lrs = super().transform(X)
        return 2 * X_syn, y_syn, lrs


def test_a_subclass_may_redefine_transform(table):
    X, y = table
    plain = tiny().fit_transform(X, y)
    doubled = Doubled(**tiny().get_params(deep=False)).fit(X, y)
    for returned in (doubled.transform(), doubled.transform(X), doubled.fit_transform(X, y)):
        assert_array_equal(returned[0], 2 * plain.X)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(doubled.transform(), tuple)
