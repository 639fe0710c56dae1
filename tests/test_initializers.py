"""Initialisers draw what they say, for every kind of layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_dd.initializers import pytorch_default, xavier_normal


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(3)


def test_xavier_normal_has_a_variance_of_two_over_fan_in_and_fan_out():
    module = nn.Sequential(
        nn.Conv2d(3, 50, 5), nn.ReLU(), nn.GroupNorm(5, 50), nn.Linear(300, 500)
    )  # fmt: skip
    xavier_normal(module)
    weights = module.state_dict()
    assert float(weights["0.weight"].std()) == pytest.approx((2 / (25 * 53)) ** 0.5, rel=0.05)
    assert float(weights["3.weight"].std()) == pytest.approx((2 / 800) ** 0.5, rel=0.05)
    assert not weights["0.bias"].any()
    assert not weights["3.bias"].any()
    assert (weights["2.weight"] == 1).all()


def test_xavier_normal_takes_layers_without_a_bias():
    module = nn.Conv1d(4, 60, 5, bias=False)
    xavier_normal(module)
    assert float(module.weight.detach().std()) == pytest.approx((2 / (5 * 64)) ** 0.5, rel=0.1)


def test_pytorch_default_draws_what_the_constructor_draws():
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.GroupNorm(5, 5), nn.Linear(3, 4))
    drawn = {name: p.clone() for name, p in module.state_dict().items()}
    xavier_normal(module)
    assert not torch.equal(module[0].weight, drawn["0.weight"])
    torch.manual_seed(3)
    pytorch_default(module)
    assert all(torch.equal(p, drawn[name]) for name, p in module.state_dict().items())
