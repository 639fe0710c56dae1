"""Every small problem and every inner optimiser, each for a test of its own."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd._engine import Optimizer

from .problems import OPTIMIZERS, PROBLEMS, Problem


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=PROBLEMS, ids=lambda make: make.__name__)
def problem(request: pytest.FixtureRequest) -> Problem:
    """Each of the small problems."""
    return request.param()


@pytest.fixture(params=OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    """Each of the inner optimisers."""
    return request.param
