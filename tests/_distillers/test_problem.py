"""What a fit is given is checked before the work; a fit that fails changes nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn
from torch.nn import functional as F

from sklearn_dd import (
    ConvNet,
    TargetedAttack,
)

from ..helpers import (
    net,
    tiny,
)


def test_a_callable_objective_is_given_logits_and_classes(table):
    X, y = table
    seen = []

    def objective(logits, targets):
        if not logits.requires_grad:  # students are scored, on parts of the samples
            assert targets.dtype == torch.int64
            return F.multi_margin_loss(logits, targets)
        seen.append((tuple(logits.shape), targets.dtype, set(targets.tolist())))
        return F.multi_margin_loss(logits, targets)

    distiller = tiny(objective=objective, batch_size=50, validation_fraction=0).fit(X, y)
    assert {(shape, dtype) for shape, dtype, _ in seen} == {((50, 3), torch.int64)}
    assert set().union(*(classes for *_, classes in seen)) == {0, 1, 2}
    assert not np.allclose(distiller.transform().X, tiny(batch_size=50).fit_transform(X, y).X)


def test_another_objective_judges_the_iterates_as_well(table):
    """Minus the objective, by whose best the iterate is kept."""

    def margin(logits, y):
        return 7 + (1 - logits[torch.arange(len(y)), y] + logits.mean(1)).relu().mean()

    scores = tiny(objective=margin, max_iter=20).fit(*table).history_["validation_score"]
    assert scores[-1] > scores[0]
    assert all(-12 < score < -7 for score in scores)


@pytest.mark.parametrize(
    ("objective", "rule"),
    [
        (TargetedAttack, r"objective=.* must be an object, not its class: write TargetedAttack"),
        (lambda logits, y: (logits.argmax(1) == y).float().mean(), "scalar tensor that has a grad"),
        (lambda logits, y: 1.0, "scalar tensor .* got 1.0"),
        (partial(nn.functional.cross_entropy, reduction="none"), "must return a scalar tensor"),
    ],
    ids=["class", "accuracy", "number", "vector"],
)
def test_an_objective_that_cannot_be_descended(table, objective, rule):
    with pytest.raises(ValueError, match=rf"(?s){rule}"):
        tiny(objective=objective).fit(*table)


FAILING = {
    "X is not finite": ({}, lambda X, y: (X * np.nan, y)),
    "y is missing": ({}, lambda X, y: (X, None)),
    "y is continuous": ({}, lambda X, y: (X, y + 0.5 * np.arange(len(y)))),
    "one class": ({}, lambda X, y: (X, np.zeros_like(y))),
    "one class and another width": ({}, lambda X, y: (X[:, :5], np.zeros(len(y)))),
    "unknown name": ({"labels": "magic"}, lambda X, y: (X, y)),
    "n_steps": ({"n_steps": 2}, lambda X, y: (X, y)),
    "other classes and n_steps": ({"n_steps": 2}, lambda X, y: (X, y + 5)),
    "sample_shape": ({"sample_shape": (2, 7)}, lambda X, y: (X, y)),
    "student": ({"student": net(n_classes=5)}, lambda X, y: (X, y)),
    "image student": ({"student": ConvNet, "sample_shape": (13, 1, 1)}, lambda X, y: (X, y)),
    "init": ({"init": [{}]}, lambda X, y: (X, y)),
    "data_init": ({"data_init": np.zeros((1, 1))}, lambda X, y: (X, y)),
    "device": ({"device": "abacus"}, lambda X, y: (X, y)),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_fit_that_fails_leaves_the_last_result(table, case):
    X, y = table
    changes, spoil = FAILING[case]
    distiller = tiny().fit(X, y)
    student = distiller.student
    scores = distiller.evaluate(X, y, n_inits=2).scores
    before = distiller.predict(X), distiller.transform()
    with pytest.raises((TypeError, ValueError)):
        distiller.set_params(**changes).fit(*spoil(X, y))
    distiller.set_params(device="cpu", student=student, init="random")
    assert_array_equal(distiller.predict(X), before[0])
    for after, a in zip(distiller.transform(), before[1], strict=True):
        assert_array_equal(after, a)
    assert_array_equal(distiller.evaluate(X, y, n_inits=2).scores, scores)
