"""The skorch student replays the schedule that the engine learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from skorch import NeuralNetClassifier
from torch.nn import functional as F

from sklearn_dd import (
    MLP,
)
from sklearn_dd._engine import inner_steps, train

from ..helpers import (
    LAYOUTS,
    Wide,
    assert_same_weights,
    net,
    standardised,
    start_of,
    tiny,
    tiny_for_images,
    tiny_regressor,
    weights_of,
)

REPLAYED = {
    "steps": (tiny, {"n_per_class": 4, "n_steps": 2, "distill_lr": 0.5}),
    "classes of several sizes": (tiny, {"n_per_class": {0: 2, 1: 6, 2: 4}, "n_steps": 2}),
    "soft labels": (tiny, {"n_per_class": 2, "n_steps": 2, "labels": "soft"}),
    "free labels": (tiny, {"n_per_class": 2, "n_steps": 2, "labels": "free", "outer_lr": 0.2}),
    "fixed": (tiny, {"init": "fixed", "n_epochs": 20}),
    "momentum": (tiny, {"student": net().set_params(optimizer__momentum=0.9)}),
    "Adam": (
        tiny,
        {
            "student": net().set_params(optimizer=torch.optim.Adam, optimizer__betas=(0.8, 0.9)),
            "distill_lr": 0.01,
        },
    ),
    "units of X": (tiny, {"standardize": False, "distill_lr": 1e-3}),
    "images": (tiny_for_images, {"n_per_class": 2, "n_steps": 2}),
    "colours last": (tiny_for_images, {"n_per_class": 2, "n_steps": 2}),
}


@pytest.mark.parametrize("case", REPLAYED)
def test_the_student_ends_with_the_parameters_of_the_engine(table, images, case):
    make, changes = REPLAYED[case]
    X, y = table if make is tiny else images
    if case == "units of X":
        X = X - X.mean(axis=0)
    if case == "colours last":
        X = LAYOUTS[case][0](X)
    distiller = make(**changes).fit(X, y)
    spec = distiller.recipe_.spec()
    start = start_of(distiller.student_)
    x, y_syn, lrs = distiller.transform().as_tensors()
    end, *_ = train(
        distiller.recipe_.student_fn(spec, torch.device("cpu")),
        spec.optimizer.start(start),
        inner_steps(x, y_syn, lrs),
    )
    assert_same_weights(weights_of(distiller.student_), end)
    assert not torch.equal(next(iter(start.values())), next(iter(end.values())))


def test_the_triple_is_trained_on_as_its_docstring_says(fitted):
    X_syn, y_syn, lrs = fitted.transform()
    start = start_of(fitted.student_)
    module = MLP((13,), 3, width=8)
    module.load_state_dict(start)
    n, (n_epochs, n_steps) = len(X_syn), lrs.shape
    for t in range(n_epochs * n_steps):
        k = t % n_steps
        rows = slice(k * n // n_steps, (k + 1) * n // n_steps)
        x = standardised(fitted, X_syn[rows])
        loss = F.cross_entropy(module(x), torch.as_tensor(y_syn[rows]))
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for p, g in zip(module.parameters(), gradients, strict=True):
                p -= float(lrs.ravel()[t]) * g
    assert_same_weights(weights_of(fitted.student_), module.state_dict())


def test_dropout_is_off(table):
    X, y = table
    wet, dry = (
        tiny(student=NeuralNetClassifier(Wide, module__dropout=p)).fit(X, y) for p in (0.5, 0.0)
    )
    assert_array_equal(wet.transform().X, dry.transform().X)
    assert_array_equal(wet.predict_proba(X), dry.predict_proba(X))


def test_the_skorch_student_refuses_another_width(table):
    distiller = tiny().fit(*table)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        distiller.student_.predict(np.zeros((10, 26), np.float32))


NAMES = {
    "words": np.array(["red", "rosé", "white"]),
    "numbers": np.array([-3, 7, 1000]),
    "indices": np.array([0, 1, 2]),
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("labels", ["hard", "soft", "free"])
def test_a_trained_student_predicts_labels(table, names, labels):
    X, y = table[0], NAMES[names][table[1]]
    distiller = tiny(n_epochs=10, distill_lr=0.5, labels=labels).fit(X, y)
    for student in (distiller.student_, distiller.transform().train(random_state=1)):
        assert is_classifier(student)
        assert_array_equal(student.classes_, NAMES[names])
        predicted = student.predict(X)
        assert_array_equal(predicted, student.classes_[student.predict_proba(X).argmax(axis=1)])
        assert student.score(X, y) == accuracy_score(y, predicted) > 0.5
        assert_allclose(student.predict_proba(X).sum(axis=1), 1, atol=1e-5)
    assert_array_equal(distiller.student_.predict(X), distiller.predict(X))


def test_a_trained_student_of_several_labels_predicts_ones_and_zeros(table):
    X, y = table[0], np.eye(3, dtype=int)[table[1]]
    distiller = tiny().fit(X, y)
    student = distiller.student_
    assert_array_equal(student.classes_, [0, 1, 2])
    assert_array_equal(student.predict(X), distiller.predict(X))
    assert_array_equal(student.predict(X), student.predict_proba(X) > 0.5)
    assert student.score(X, y) == distiller.score(X, y)


def test_a_trained_student_of_a_regression_predicts_numbers(table):
    X, y = table[0][:, 1:], table[0][:, 0]
    distiller = tiny_regressor().fit(X, y)
    student = distiller.student_
    assert is_regressor(student)
    assert student.predict(X).shape == y.shape
    assert_allclose(student.predict(X), distiller.predict(X))
    assert student.score(X, y) == pytest.approx(r2_score(y, distiller.predict(X)))
