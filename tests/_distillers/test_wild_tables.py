"""Columns of any scale: constant ones stay constant, and none keeps students from learning."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_wine

from ..helpers import tiny


@pytest.fixture(scope="module")
def wild():
    """Wine, with a constant column and columns of wild scales and heavy tails beside its own."""
    X, y = load_wine(return_X_y=True)
    rng = np.random.default_rng(0)
    n = len(X)
    beside = [
        np.full(n, 7.0), 1e9 * rng.normal(size=n), 1e-9 * rng.normal(size=n),
        rng.standard_cauchy(n), np.exp(5 * rng.normal(size=n)),
    ]  # fmt: skip
    return np.column_stack([X, *beside]), y


@pytest.mark.parametrize("data_init", ["noise", "real", "kmeans", "mean", "herding", "kcenters"])
def test_a_constant_column_stays_constant(wild, data_init):
    X, y = wild
    distiller = tiny(n_per_class=2, data_init=data_init, max_iter=20, outer_lr=0.2).fit(X, y)
    assert_allclose(distiller.X_syn_[:, 13], 7.0)
    others = np.delete(np.arange(X.shape[1]), 13)
    assert (distiller.X_syn_[:, others].std(axis=0) > 0).all()


def test_students_learn_beside_wild_columns(wild):
    X, y = wild
    distiller = tiny(n_epochs=10, max_iter=100).fit(X[::2], y[::2])
    assert distiller.history_["dead_share"] == [0.0] * len(distiller.history_["dead_share"])
    assert distiller.evaluate(X[1::2], y[1::2], n_inits=5).mean > 0.85
