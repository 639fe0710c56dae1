"""An attack makes trained nets take one class for another, and its report says what else it did."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import (
    load_wine,
)
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, recall_score
from torch.nn import functional as F

from sklearn_dd import (
    DatasetDistillerRegressor,
    TargetedAttack,
    attack_report,
)
from sklearn_dd._engine import StudentFn
from sklearn_dd._evaluation import Training

from .helpers import (
    net,
    small_pool,
    tiny,
)

SOURCE, TARGET = 0, 2


STUDENT = net(width=32)


@pytest.fixture(scope="module")
def pools():
    """Trained nets to distil for, and others to attack."""

    X, y = load_wine(return_X_y=True)
    return [
        small_pool(X, y, 8, student=STUDENT, n_epochs=10, lr=0.02, random_state=seed)
        for seed in (0, 1)
    ]


def attacker(**changes):
    settings = {
        "student": STUDENT, "n_epochs": 1, "max_iter": 150, "batch_size": 178,
        "objective": TargetedAttack(SOURCE, TARGET),
    }  # fmt: skip
    return tiny(**(settings | changes))


def test_the_attacked_class_is_scored_as_the_target():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = TargetedAttack(0, 2)(logits, y)
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([2, 1, 2, 2, 1, 2])))
    assert_array_equal(y, [0, 1, 2, 0, 1, 2])


def test_labels_become_indices():
    classes = np.array(["bird", "cat", "dog"])
    assert TargetedAttack("dog", "bird").resolve(classes) == TargetedAttack(2, 0)
    assert TargetedAttack(7, 5).resolve([5, 6, 7]) == TargetedAttack(2, 0)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (TargetedAttack("cow", "cat"), r"source='cow' of TargetedAttack must be one of .*'dog'\]"),
        (TargetedAttack("cat", "cow"), "target='cow' of TargetedAttack must be one of"),
        (TargetedAttack("cat", "cat"), "must differ, but both are 'cat'"),
    ],
)
def test_a_wrong_label_is_named(attack, message):
    with pytest.raises(ValueError, match=message):
        attack.resolve(["cat", "dog"])


def test_nets_that_no_fit_has_seen_fail_on_the_attacked_class_alone(table, pools):
    X, y = table
    pool, others = pools
    distiller = attacker(init=pool).fit(X, y)
    before, after = attack_report(distiller, X, y, init=others, n_inits=12)
    assert before.called_target.mean() < 0.1
    assert after.called_target.mean() > 0.9
    assert after.modified_accuracy.mean() > before.modified_accuracy.mean() + 0.2
    not_attacked = [c for c in range(3) if c != SOURCE]
    kept = after.class_accuracy[:, not_attacked].mean()
    assert kept > before.class_accuracy[:, not_attacked].mean() - 0.1


def test_the_figures_are_those_of_the_nets_predictions(table, pools):
    X, names = table[0], np.array(["barolo", "grignolino", "barbera"])[table[1]]
    attack = TargetedAttack("barolo", "barbera")
    on_indices = attack.resolve(np.unique(names))
    known = pools[0][0]
    distiller = attacker(
        init=[known], objective=lambda logits, y: on_indices(logits, y), max_iter=5
    ).fit(X, names)
    before, after = attack_report(distiller, X, names, attack)

    module = distiller.recipe_.spec()()
    module.load_state_dict(known)
    z = distiller.recipe_.units(torch.tensor(X))
    predictions = distiller.classes_[module(z).argmax(1).numpy()], distiller.predict(X)
    modified = np.where(names == "barolo", "barbera", names)
    for scores, predicted in zip((before, after), predictions, strict=True):
        assert_allclose(scores.accuracy, [accuracy_score(names, predicted)])
        assert_allclose(scores.modified_accuracy, [accuracy_score(modified, predicted)])
        assert_allclose(scores.class_accuracy, [recall_score(names, predicted, average=None)])
        assert_allclose(scores.called_target, [(predicted[names == "barolo"] == "barbera").mean()])


def test_nets_that_diverge_are_no_success(table, pools):
    X, y = table
    train, held_out = pools
    distiller = attacker(init=train, objective=TargetedAttack(1, 0), max_iter=2).fit(X, y)
    distiller.lrs_[:] = 1e30
    after = attack_report(distiller, X, y, init=held_out, n_inits=8).after
    assert_array_equal(after.called_target, 0)
    assert_array_equal(after.accuracy, 0)


def test_every_class_is_scored_with_the_same_nets(table, pools):
    X, y = table
    distiller = attacker(init=pools[0], max_iter=3).fit(X, y)
    first = attack_report(distiller, X, y, n_inits=5, random_state=np.random.RandomState(0))
    whole = distiller.evaluate(
        X, y, n_inits=5, each_step=True, random_state=np.random.RandomState(0)
    )
    assert_allclose(first.before.accuracy, whole.step_scores[0])
    assert_allclose(first.after.accuracy, whole.scores)


def test_a_frame_is_taken(table, pools):
    X, y = table
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(13)])
    distiller = attacker(init=pools[0], max_iter=3).fit(frame, y)
    report = attack_report(distiller, frame, pd.Series(y), n_inits=2)
    assert report.after.class_accuracy.shape == (2, 3)


def test_a_class_without_samples_is_named(table, pools):
    X, y = table
    distiller = attacker(init=pools[0], max_iter=3).fit(X, y)
    with pytest.raises(ValueError, match=r"y must hold every class, but has none of \[2\]"):
        attack_report(distiller, X[y != 2], y[y != 2])


def test_before_and_after_are_always_both_scored(table, pools):
    distiller = attacker(init=pools[0], max_iter=3).fit(*table)
    with pytest.raises(TypeError, match="each_step"):
        attack_report(distiller, *table, each_step=False)


def test_a_distiller_of_numbers_is_attacked_by_none(table):
    X, y = table
    regressor = DatasetDistillerRegressor(objective=TargetedAttack(0, 1), max_iter=1)
    with pytest.raises(ValueError, match="takes a multiclass y, but y is continuous"):
        regressor.fit(X, y)
    regressor = DatasetDistillerRegressor(max_iter=1, n_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"attack_report takes a multiclass y"):
        attack_report(regressor, X, y)
    with pytest.raises(NotFittedError):
        attack_report(attacker(), X, y)


def test_without_an_attack_there_is_nothing_to_report(fitted, table):
    with pytest.raises(TypeError, match="attack must be a TargetedAttack"):
        attack_report(fitted, *table)


def test_each_net_is_trained_once(table, pools, monkeypatch):
    distiller = attacker(init=pools[0], n_epochs=3, max_iter=3).fit(*table)
    steps, schedules = [], []
    step, trained = StudentFn.step, Training.trained
    monkeypatch.setattr(StudentFn, "step", lambda *given: steps.append(1) or step(*given))
    monkeypatch.setattr(
        Training, "trained", lambda self: schedules.append(self.lrs.numel()) or trained(self)
    )
    report = attack_report(distiller, *table, n_inits=5)
    assert report.after.accuracy.shape == (5,)
    assert len(steps) == 3  # of five stacked nets
    assert sorted(schedules) == [0, 3]  # before, nets are as they come
