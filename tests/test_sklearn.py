"""At home in scikit-learn: its tools, its conventions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import (
    load_wine,
)
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_dd import (
    DatasetDistiller,
)

from .helpers import (
    CHECKED,
    net,
    tiny,
    tiny_for_images,
)


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


@pytest.mark.slow
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
            clone(CHECKED)
            .set_fit_request(sample_weight=False)
            .set_score_request(sample_weight=True),
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


@pytest.mark.parametrize(
    "call",
    [
        lambda d, X, y: d.predict(X),
        lambda d, X, y: d.predict_proba(X),
        lambda d, X, y: d.transform(),
        lambda d, X, y: d.transform(X),
        lambda d, X, y: d.score(X, y),
        lambda d, X, y: d.evaluate(X, y),
        lambda d, X, y: d.get_feature_names_out(),
    ],
    ids=["predict", "predict_proba", "transform", "transform X", "score", "evaluate", "names"],
)
def test_calls_before_fit(table, call):
    with pytest.raises(NotFittedError, match="DatasetDistiller instance is not fitted yet"):
        call(DatasetDistiller(), *table)


def test_an_unknown_container(fitted):
    with pytest.raises(ValueError, match="transform must be 'default', 'pandas', 'polars' or None"):
        fitted.set_output(transform="spreadsheet")
