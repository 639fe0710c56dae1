"""One clear error for an X or a y that cannot be used."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from sklearn_dd import (
    RandomSamples,
    train_pool,
)

from ..helpers import (
    named,
    tiny,
    tiny_for_images,
)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "predict", "predict_proba", "transform", "evaluate"])
def test_X_that_is_not_finite(table, fitted, method, value):
    X, y = table
    X = X.copy()
    X[3, 2] = value
    distiller = tiny() if method == "fit" else fitted
    arguments = (X, y) if method in ("fit", "evaluate") else (X,)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        getattr(distiller, method)(*arguments)


def test_images_that_are_not_finite(images):
    X, y = images[0].astype(float), images[1]
    X[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        tiny_for_images().fit(X, y)


def test_X_of_one_sample(table):
    X, y = table
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        tiny().fit(X[:1], y[:1])


def test_X_of_no_features(table):
    X, y = table
    with pytest.raises(ValueError, match=r"0 feature.*minimum of 1"):
        tiny().fit(X[:, :0], y)


@pytest.mark.parametrize("X", [np.arange(6.0), 3.0], ids=["vector", "number"])
def test_X_of_too_few_dimensions(X):
    with pytest.raises(ValueError, match="Expected 2D array"):
        tiny().fit(X, np.arange(6) % 2)


def test_X_that_is_sparse(table):
    X, y = table
    with pytest.raises(TypeError, match=r"[Ss]parse.*dense"):
        tiny().fit(csr_array(X), y)


def test_X_of_words(table):
    X, y = table
    with pytest.raises(ValueError, match=r"numeric values|string to float"):
        tiny().fit(np.full(X.shape, "word"), y)


def test_y_of_one_class(table):
    X, y = table
    with pytest.raises(ValueError, match=r"y must hold at least 2 classes.*only one class"):
        tiny().fit(X, np.zeros(len(y)))


def test_y_missing(table):
    X, _ = table
    with pytest.raises(ValueError, match="requires y to be passed"):
        tiny().fit(X, None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        tiny().fit(X)


def test_y_continuous(table):
    X, y = table
    with pytest.raises(ValueError, match=r"Unknown label type: continuous"):
        tiny().fit(X, y + 0.5 * np.arange(len(y)))


def test_y_of_missing_values(table):
    X, y = table
    with pytest.raises(ValueError, match="y contains NaN"):
        tiny().fit(X, np.where(y == 0, np.nan, y))


def test_y_of_several_columns_that_are_not_of_labels(table):
    X, y = table
    with pytest.raises(ValueError, match=r"y must hold 0 or 1 .* 2 labels, but .*\[0, 1, 2\]"):
        tiny().fit(X, np.column_stack([y, y]))


def test_y_of_another_length(table):
    X, y = table
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit(X, y[:-1])


@pytest.mark.parametrize(
    "call", [RandomSamples().fit, partial(train_pool, n_nets=1)], ids=["baseline", "pool"]
)
def test_y_that_only_a_distiller_takes(table, call):
    X, y = table
    with pytest.raises(ValueError, match=r"one class for each sample, but has shape \(178, 3\)"):
        call(X=X, y=np.eye(3)[y])
    with pytest.raises(ValueError, match="y is None: give a class for each sample"):
        call(X=X, y=None)


@pytest.mark.parametrize("n_per_class", [3, {0: 2, 1: 4, 2: 5}], ids=named)
def test_n_steps_that_does_not_divide_n_per_class(table, n_per_class):
    rule = re.escape(f"n_steps=2 must divide n_per_class={n_per_class}") + ".*Choose a divisor"
    with pytest.raises(ValueError, match=rule):
        tiny(n_per_class=n_per_class, n_steps=2).fit(*table)


@pytest.mark.parametrize(
    "n_per_class", [{}, {0: 1, 1: 1}, {0: 1, 1: 1, 2: 1, 3: 1}, {"0": 1, "1": 1, "2": 1}], ids=str
)
def test_n_per_class_of_other_classes(table, n_per_class):
    rule = r"n_per_class must name each class of y once, \[0, 1, 2\], but names "
    with pytest.raises(ValueError, match=rule + re.escape(str(list(n_per_class)))):
        tiny(n_per_class=n_per_class).fit(*table)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None])
def test_n_per_class_of_no_count(table, count):
    with pytest.raises(ValueError, match="n_per_class must be an integer of at least 1 for each"):
        tiny(n_per_class={0: 1, 1: 1, 2: count}).fit(*table)


def test_values_to_predict_that_are_too_large_for_float32(fitted, table):
    X, y = table
    X = np.where(np.arange(13) == 0, 1e39, X)
    for call in (fitted.predict, partial(fitted.evaluate, y=y)):
        with pytest.raises(ValueError, match="too large for float32"):
            call(X)


@pytest.mark.filterwarnings("error")
def test_values_too_large_for_float32(table):
    X, y = table
    with pytest.raises(ValueError, match=r"too large for float32.*Scale them down"):
        tiny().fit(X * 1e37, y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "score", "evaluate"])
def test_X_of_another_width(table, fitted, method):
    X, y = table
    arguments = (X[:, :5], y) if method in ("score", "evaluate") else (X[:, :5],)
    with pytest.raises(ValueError, match="X has 5 features, but DatasetDistiller is expecting 13"):
        getattr(fitted, method)(*arguments)


@pytest.mark.parametrize("unknown", [7, "red"])
def test_evaluate_labels_that_fit_never_saw(table, fitted, unknown):
    X, y = table
    y = y.astype(object if isinstance(unknown, str) else int)
    y[0] = unknown
    with pytest.raises(ValueError, match=rf"y must hold classes .*\[0, 1, 2\].*{unknown}"):
        fitted.evaluate(X, y)


def test_evaluate_labels_of_another_length(table, fitted):
    X, y = table
    with pytest.raises(ValueError, match=r"y must have a label for each sample, 178, but has 177"):
        fitted.evaluate(X, y[:-1])


# An error about a column names it.


@pytest.fixture
def people():
    """A frame of three columns, and two classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["age", "height", "weight"])
    return frame, np.arange(40) % 2


@pytest.mark.parametrize("convert", [lambda frame: frame, pl.from_pandas], ids=["pandas", "polars"])
@pytest.mark.parametrize("where", ["fit", "predict", "evaluate"])
def test_a_column_that_is_not_finite_is_named(people, convert, where):
    frame, y = people
    distiller = tiny().fit(convert(frame), y)
    frame.loc[3, "age"] = np.inf
    arguments = (convert(frame),) if where == "predict" else (convert(frame), y)
    with pytest.raises(ValueError, match=r"(?s)infinity.*such values in column 'age'\.$"):
        getattr(distiller, where)(*arguments)


@pytest.mark.parametrize("where", ["predict", "evaluate"])
def test_missing_values_that_the_fit_did_not_see_are_named(people, where):
    frame, y = people
    distiller = tiny().fit(frame, y)
    frame.loc[3, "age"] = np.nan
    arguments = (frame,) if where == "predict" else (frame, y)
    with pytest.raises(ValueError, match=r"(?s)contains NaN.*such values in column 'age'\.$"):
        getattr(distiller, where)(*arguments)


def test_several_bad_columns_are_named(people):
    frame, y = people
    frame.loc[3, "age"], frame.loc[5, "weight"] = -np.inf, np.inf
    with pytest.raises(ValueError, match=r"such values in columns 'age', 'weight'\.$"):
        tiny().fit(frame, y)
    wide = pd.DataFrame(np.full((40, 9), np.inf)).add_prefix("f")
    with pytest.raises(ValueError, match=r"columns 'f0', 'f1', 'f2', 'f3', 'f4' and 4 more\.$"):
        tiny().fit(wide, y)


def test_a_column_of_text_is_named_where_it_was_numbers(people):
    frame, y = people
    distiller = tiny().fit(frame, y)
    frame["age"] = ["old", "young"] * 20
    with pytest.raises(ValueError, match=r"(?s)could not convert.*such values in column 'age'\.$"):
        distiller.predict(frame)


def test_a_column_that_float32_cannot_hold_is_named(people):
    frame, y = people
    frame.loc[3, "height"] = 1e39
    with pytest.raises(ValueError, match=r"too large for float32.* in column 'height'\. Scale"):
        tiny().fit(frame, y)


def test_columns_of_an_array_are_named_by_their_index(people):
    X, y = people[0].to_numpy(copy=True), people[1]
    for value in (np.nan, np.inf, -np.inf):
        X[7, 2] = value
        with pytest.raises(ValueError, match=r"such values in column 2\.$"):
            tiny().fit(X, y)
    X[7, 2] = -1e39
    with pytest.raises(ValueError, match=r"too large for float32.* in column 2\. Scale"):
        tiny().fit(X, y)


def test_a_label_that_no_sample_has_is_named(people):
    frame, y = people
    labels = pd.DataFrame({"red": y, "green": 0 * y, "blue": 1 - y})
    with pytest.raises(ValueError, match=r"no sample has the labels of columns \['green'\]"):
        tiny().fit(frame, labels)
    with pytest.raises(ValueError, match=r"no sample has the labels of columns \[1\]"):
        tiny().fit(frame, labels.to_numpy())
