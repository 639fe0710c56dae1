"""Files of the version before this one, which ``tests/data`` holds, still serve.

They were written by distillers of these parameters; ``expected.npz`` holds what they had learned,
and what fits ended with that are continued here from a checkpoint after four of six iterations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_wine
from skorch import NeuralNetClassifier, NeuralNetRegressor

from sklearn_dd import (
    MLP,
    Clipped,
    DatasetDistiller,
    DatasetDistillerRegressor,
    Unrolled,
    load_distilled,
)

FOLDER = Path(__file__).parents[1] / "data"
SMALL = {"n_epochs": 2, "max_iter": 6, "random_state": 0, "device": "cpu"}
CLASSIFIER = NeuralNetClassifier(MLP, module__width=4)
REGRESSOR = NeuralNetRegressor(MLP, module__width=4)


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as arrays:
        return dict(arrays)


def wines():
    X, y = load_wine(return_X_y=True)
    return X, np.array(["barolo", "grignolino", "barbera"])[y]


def wines_of_several_labels():
    X, y = load_wine(return_X_y=True)
    return X, np.stack([y == 0, y < 2, X[:, 0] > 13], 1).astype(int)


def patients():
    return load_diabetes(return_X_y=True)


DATA = {
    "hard": (wines, CLASSIFIER),
    "soft_fixed": (wines, CLASSIFIER),
    "multilabel": (wines_of_several_labels, CLASSIFIER),
    "regression": (patients, REGRESSOR),
}


@pytest.mark.parametrize("name", DATA)
def test_an_old_file_holds_what_was_learned(name, expected):
    data = load_distilled(FOLDER / f"{name}.safetensors")
    for part in ("X", "y", "lrs"):
        found, wanted = getattr(data, part), expected[f"{name}_{part}"]
        assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


@pytest.mark.parametrize("name", DATA)
def test_students_are_trained_and_scored_on_an_old_file(name, expected):
    read, student = DATA[name]
    X, y = read()
    data = load_distilled(FOLDER / f"{name}.safetensors")
    trained = data.train(student, random_state=0, device="cpu")
    assert trained.predict(X).shape == y.shape
    scores = data.evaluate(X, y, n_inits=3, student=student, device="cpu").scores
    if name == "soft_fixed":  # the one net that the file holds
        assert_array_equal(trained.predict(X[::9]), expected[f"{name}_predict"])
        assert_array_equal(scores, [trained.score(X, y)])
    else:
        assert scores.shape == (3,)
        assert len(np.unique(scores)) > 1
    assert trained.predict(X).dtype.kind == expected[f"{name}_predict"].dtype.kind


CHECKPOINTS = {
    # What was Clipped(estimator=...) is Clipped(method=...),
    "classifier": (DatasetDistiller(method=Clipped(Unrolled(window=1)), **SMALL), CLASSIFIER),
    # learn_targets=True is labels="free",
    "regressor": (DatasetDistillerRegressor(4, labels="free", **SMALL), REGRESSOR),
    # and method="auto" is method="ridge".
    "ridge": (DatasetDistiller(method="ridge", **SMALL), CLASSIFIER),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_old_checkpoint_continues_to_the_same_end(name, expected):
    distiller, student = CHECKPOINTS[name]
    X, y = patients() if name == "regressor" else wines()
    distiller.set_params(student=student).fit(X, y, resume_from=FOLDER / f"{name}.checkpoint")
    assert distiller.n_iter_ == 6
    # Equal to the bit on the CPU that wrote them; others round in another way.
    assert_allclose(distiller.X_syn_, expected[f"{name}_X"], rtol=1e-4)
    assert_allclose(distiller.lrs_, expected[f"{name}_lrs"], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "rule"),
    [
        ("classifier", {"method": Clipped(Unrolled(window=2))}, "method was 'Clipped"),
        ("classifier", {"method": "unrolled"}, "method was 'Clipped.*and is 'unrolled'"),
        ("regressor", {"labels": "hard"}, "labels was 'free' and is 'hard'"),
        ("ridge", {"method": "gradient"}, "method was 'ridge' and is 'gradient'"),
    ],
)
def test_an_old_checkpoint_of_other_parameters_is_refused(name, changes, rule):
    distiller, student = CHECKPOINTS[name]
    other = type(distiller)(**distiller.get_params(deep=False) | {"student": student} | changes)
    X, y = patients() if name == "regressor" else wines()
    with pytest.raises(ValueError, match=rule):
        other.fit(X, y, resume_from=FOLDER / f"{name}.checkpoint")
