"""A DataFrame of mixed columns goes in, and one with the same columns comes out."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from sklearn_dd import (
    DatasetDistiller,
    DatasetDistillerRegressor,
    KMeansCenters,
    compare,
    load_distilled,
    save_distilled,
)

from ..helpers import net

SHORT = {"max_iter": 30, "random_state": 0, "outer_lr": 0.05}
STUDENTS = {"net": None, "model": KNeighborsClassifier(1)}


@pytest.fixture(scope="module")
def mixed():
    """Buyers are members, or old, or like blue."""
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": np.where(rng.random(n) < 0.2, np.nan, rng.normal(3, 1, n)),
            "colour": rng.choice(["red", "green", "blue", None], n),
            "member": rng.random(n) < 0.4,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "shop": pd.Categorical(rng.choice(["A", "B"], n), categories=["A", "B", "C"]),
            "constant": 3,
        }
    )
    likes = frame["colour"].eq("blue").fillna(False).astype(float)
    value = frame["member"] + likes + frame["age"] / 90 + rng.normal(0, 0.2, n)
    return frame, np.where(value > value.median(), "buys", "leaves"), value.to_numpy(float)


@pytest.mark.parametrize("student", STUDENTS)
def test_what_comes_out_has_the_columns_and_dtypes_of_what_went_in(mixed, student):
    frame, y, _ = mixed
    distiller = DatasetDistiller(4, student=STUDENTS[student], **SHORT).fit(frame, y)
    X_syn, y_syn, _ = distiller.transform()
    assert X_syn.dtypes.equals(frame.dtypes)
    assert list(X_syn["shop"].cat.categories) == ["A", "B", "C"]
    assert X_syn["age"].between(frame["age"].min(), frame["age"].max()).all()
    assert set(X_syn["colour"].dropna()) <= {"red", "green", "blue"}
    assert (X_syn["constant"] == 3).all()
    assert_array_equal(np.unique(y_syn), ["buys", "leaves"])
    assert_array_equal(distiller.feature_names_in_, frame.columns)
    assert distiller.n_features_in_ == 7


@pytest.mark.parametrize("student", STUDENTS)
def test_the_student_predicts_for_tables(mixed, student):
    frame, y, _ = mixed
    distiller = DatasetDistiller(4, student=STUDENTS[student], **SHORT).fit(frame, y)
    assert distiller.score(frame, y) > 0.7
    assert distiller.evaluate(frame, y, n_inits=2).mean > 0.7
    assert_array_equal(distiller.student_.predict(frame), distiller.predict(frame))
    data = distiller.transform()
    assert data.evaluate(frame, y, student=DecisionTreeClassifier(), n_inits=2).mean > 0.5
    assert data.train(DecisionTreeClassifier()).score(frame, y) > 0.5
    loaded = pickle.loads(pickle.dumps(distiller))
    assert_array_equal(loaded.predict(frame), distiller.predict(frame))


def test_what_is_returned_is_what_the_student_learned_from(mixed):
    """The set is snapped to what a table can hold while it is learned."""
    frame, y, _ = mixed
    distiller = DatasetDistiller(4, student=KNeighborsClassifier(1), **SHORT).fit(frame, y)
    x, *_ = distiller.transform().as_tensors()
    learned = distiller.recipe_.units.inverse(x.flatten(0, 1)).double()
    snapped = distiller.recipe_.table.snap(learned)
    assert_allclose(learned, snapped, rtol=1e-5, atol=1e-4)


def test_columns_are_named_and_may_come_in_another_order(mixed):
    frame, y, _ = mixed
    distiller = DatasetDistiller(student=KNeighborsClassifier(1), **SHORT).fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        distiller.predict(frame.drop(columns="age"))
    with pytest.raises(ValueError, match="X must be a DataFrame with the columns"):
        distiller.predict(np.ones((3, 7)))


def test_a_regression(mixed):
    frame, _, value = mixed
    distiller = DatasetDistillerRegressor(10, **SHORT).fit(frame, value)
    assert distiller.transform().X.dtypes.equals(frame.dtypes)
    assert distiller.score(frame, value) > 0.3


def test_a_comparison(mixed):
    """Also with all the data, and with models among the students."""
    frame, y, _ = mixed
    distiller = DatasetDistiller(4, student=net(), **SHORT).fit(frame, y)
    table, _ = compare(
        distiller, frame, y, frame, y, baselines=[KMeansCenters(4, student=net())], models={},
        students={"nearest": KNeighborsClassifier(1)}, n_inits=2, n_full=1, full_epochs=1,
    )  # fmt: skip
    assert sorted(table["model"]) == ["MLP"] * 3 + ["nearest"] * 3
    assert np.isfinite(table["mean"]).all()


def test_a_baseline_chooses_rows_that_a_table_can_hold(mixed):
    frame, y, _ = mixed
    baseline = KMeansCenters(4, student=net(), step_sizes=[0.1], random_state=0).fit(frame, y)
    table, units = baseline.recipe_.table, baseline.recipe_.units
    chosen = units.inverse(baseline.transform().as_tensors()[0].flatten(0, 1)).double()
    assert_allclose(chosen, table.snap(chosen), rtol=1e-5, atol=1e-4)
    assert baseline.transform().X.dtypes.equals(frame.dtypes)


def test_rows_of_weight_0_have_no_say(mixed):
    frame, y, _ = mixed
    wild = frame.assign(age=frame["age"].where(frame.index > 0, 999))
    weight = (frame.index > 0).astype(float)
    distiller = DatasetDistiller(4, student=KNeighborsClassifier(1), **SHORT)
    assert distiller.fit(wild, y, sample_weight=weight).X_syn_["age"].max() <= 90


def test_cross_validation(mixed):
    frame, y, _ = mixed
    scores = cross_val_score(DatasetDistiller(4, **SHORT), frame, y, cv=2)
    assert scores.mean() > 0.6


@pytest.mark.parametrize("student", STUDENTS)
def test_a_file_holds_the_table(mixed, tmp_path, student):
    frame, y, _ = mixed
    distiller = DatasetDistiller(4, student=STUDENTS[student], **SHORT).fit(frame, y)
    save_distilled(tmp_path / "set", distiller)
    loaded = load_distilled(tmp_path / "set")
    assert_frame_equal(loaded.X, distiller.X_syn_)
    again = loaded.evaluate(frame, y, n_inits=2)
    assert_array_equal(again.scores, distiller.evaluate(frame, y, n_inits=2).scores)


def test_a_file_refuses_categories_that_it_cannot_hold(mixed, tmp_path):
    frame, y, _ = mixed
    frame = frame.assign(shop=[("a", k) for k in range(3)] * 100)
    distiller = DatasetDistiller(student=KNeighborsClassifier(1), **SHORT).fit(frame, y)
    with pytest.raises(ValueError, match=r"column 'shop' has \('a', 0\).*Convert them to strings"):
        save_distilled(tmp_path / "set", distiller)
