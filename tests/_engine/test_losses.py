"""Inner losses are sums over stacked students of means over a batch; objectives are torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sklearn_dd._engine import (
    binary_cross_entropy,
    classification,
    cross_entropy,
    mean_over_students,
    mean_squared_error,
    multilabel,
    regression,
)

TORCHS = {
    cross_entropy: F.cross_entropy,
    binary_cross_entropy: lambda logits, y: (
        F.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(-1).mean()
    ),
    mean_squared_error: F.mse_loss,
}
each_loss = pytest.mark.parametrize("loss", TORCHS, ids=lambda loss: loss.__name__)


@each_loss
def test_of_one_student_it_is_torchs(loss):
    outputs, y = torch.randn(7, 3), torch.randn(7, 3).softmax(-1)
    torch.testing.assert_close(loss(outputs, y), TORCHS[loss](outputs, y))


@each_loss
def test_of_stacked_students_it_is_the_sum(loss):
    outputs, y = torch.randn(4, 7, 3), torch.randn(7, 3)  # labels may be any numbers
    torch.testing.assert_close(loss(outputs, y), sum(loss(of_one, y) for of_one in outputs))


@pytest.mark.parametrize(
    ("objective", "y"),
    [
        (classification, torch.tensor([0, 2, 1, 1])),
        (multilabel, torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])),
        (regression, torch.arange(12.0).reshape(4, 3)),
    ],
    ids=["classification", "multilabel", "regression"],
)
def test_an_objective_is_the_inner_loss_on_real_labels(objective, y):
    loss = {
        classification: cross_entropy,
        multilabel: binary_cross_entropy,
        regression: mean_squared_error,
    }[objective]
    outputs = torch.randn(4, 3)
    labels = F.one_hot(y, 3).float() if y.ndim == 1 else y
    torch.testing.assert_close(objective(outputs, y), loss(outputs, labels))


def test_the_mean_over_students_sees_one_at_a_time():
    outputs, y, seen = torch.randn(4, 7, 3), torch.zeros(7).long(), []

    def objective(of_one, y):
        seen.append(of_one.shape)
        return F.cross_entropy(of_one, y)

    found = mean_over_students(objective, outputs, y)
    assert seen == [(7, 3)] * 4
    torch.testing.assert_close(
        found, torch.stack([F.cross_entropy(of_one, y) for of_one in outputs]).mean()
    )
    torch.testing.assert_close(
        mean_over_students(objective, outputs[0], y), F.cross_entropy(outputs[0], y)
    )
