"""Files of the version before this one, which ``tests/data`` holds, still serve.

They were written by distillers of that version; ``expected.npz`` holds what they had learned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_diabetes, load_wine
from skorch import NeuralNetClassifier, NeuralNetRegressor

from sklearn_dd import MLP, load_distilled
from sklearn_dd._distillers.checkpoint import Checkpoint

from ..helpers import tiny

FOLDER = Path(__file__).parents[1] / "data"
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


@pytest.mark.parametrize("name", DATA)
def test_the_student_of_an_old_file_is_built_again(name, recwarn):
    read, student = DATA[name]
    X, _ = read()
    data = load_distilled(FOLDER / f"{name}.safetensors")
    found, named = (data.train(of, random_state=0, device="cpu") for of in (None, student))
    assert not recwarn
    assert_array_equal(found.predict(X), named.predict(X))


def test_an_old_checkpoint_is_refused():
    with pytest.raises(ValueError, match=r"old\.checkpoint.* earlier version.* start afresh"):
        tiny().fit(*wines(), resume_from=FOLDER / "old.checkpoint")
    with pytest.raises(ValueError, match="with the version that began it"):
        Checkpoint.read(FOLDER / "old.checkpoint")
