"""The paper's experiments, small: each kind goes in the direction that it claims."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_dd import (
    DatasetDistiller,
    RandomSamples,
    TargetedAttack,
    attack_report,
    train_pool,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits():
    """X, X_test, y, y_test."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def pools(digits):
    """Nets that know digits, to distil for and to try the result on."""
    X, _, y, _ = digits
    return [train_pool(X, y, 8, random_state=seed) for seed in (0, 1)]


def accuracy(distiller, digits, **options):
    _, X_test, _, y_test = digits
    return distiller.evaluate(X_test, y_test, **options).mean


@pytest.mark.parametrize("init", ["fixed", "random"])
def test_distilled_samples_beat_real_ones(digits, init):
    X, _, y, _ = digits
    distilled = DatasetDistiller(init=init, max_iter=200, random_state=0).fit(X, y)
    real = [RandomSamples(init=init, random_state=seed).fit(X, y) for seed in range(3)]
    assert accuracy(distilled, digits) > 0.15 + np.mean([accuracy(r, digits) for r in real])


def test_free_labels_say_more_than_probabilities(digits):
    """Where there are few steps and one known net."""
    X, _, y, _ = digits
    settings = {"init": "fixed", "n_epochs": 2, "max_iter": 300, "random_state": 0}
    soft, free = (
        DatasetDistiller(labels=labels, **settings).fit(X, y) for labels in ("soft", "free")
    )
    assert accuracy(free, digits) > accuracy(soft, digits)


def test_an_attack_turns_one_class_and_leaves_the_others(digits, pools):
    X, X_test, y, y_test = digits
    distiller = DatasetDistiller(
        init=pools[0], n_epochs=1, objective=TargetedAttack(0, 1), max_iter=200, random_state=0
    ).fit(X, y)
    before, after = attack_report(distiller, X_test, y_test, init=pools[1], n_inits=8)
    assert before.called_target.mean() < 0.05
    assert after.called_target.mean() > 0.8
    others = slice(1, None)
    assert after.class_accuracy[:, others].mean() > before.class_accuracy[:, others].mean() - 0.1


def test_adaptation_beats_none_and_real_samples(digits, pools):
    X, X_test, y, y_test = digits
    mirrored, mirrored_test = (a.reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64) for a in (X, X_test))
    schedule = {"init": pools[0], "n_epochs": 5, "random_state": 0}
    distilled = DatasetDistiller(max_iter=200, distill_lr=0.1, **schedule).fit(mirrored, y)
    real = RandomSamples(**schedule).fit(mirrored, y)
    steps, other = (
        d.evaluate(mirrored_test, y_test, init=pools[1], n_inits=8, each_step=True)
        for d in (distilled, real)
    )
    assert steps.mean > 0.1 + steps.step_scores[0].mean()
    assert steps.mean > 0.05 + other.mean
