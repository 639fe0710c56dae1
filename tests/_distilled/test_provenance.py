"""How data were made, in words and hashes."""

from __future__ import annotations

import copy
import json
from functools import partial

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier

from sklearn_dd import (
    MLP,
    Clipped,
    Ridge,
    TargetedAttack,
    Unrolled,
    load_distilled,
    save_distilled,
)
from sklearn_dd._data import Multiclass
from sklearn_dd._distilled import describe, identity
from sklearn_dd._student import choose_student

from ..helpers import (
    net,
    tiny,
)


def test_a_file_tells_how_the_data_were_made(table, path):
    distiller = tiny(n_per_class=2, random_state=11, data_init=np.zeros((6, 13))).fit(*table)
    save_distilled(str(path), distiller)
    description = load_distilled(str(path)).recipe.description
    assert description == distiller.recipe_.description
    assert description["seed"] == distiller.seed_
    assert description["student"] == "MLP"
    assert description["versions"]["torch"] == torch.__version__
    assert set(description["versions"]) == {
        "sklearn-dd", "torch", "scikit-learn", "skorch", "numpy", "python",
    }  # fmt: skip
    parameters = description["parameters"]
    assert parameters["n_per_class"] == 2
    assert parameters["random_state"] == 11
    assert parameters["init"] == "random"
    assert set(parameters) == set(distiller.get_params(deep=False))


def noise(x, strength=1.0):
    return x * strength


def closed_over(strength):
    def augment(x):
        return noise(x, strength)

    return augment


class Noise:
    def __init__(self, strength):
        self.strength = strength
        self._address = object()

    def __call__(self, x):
        return noise(x, self.strength)


PAIRS = {
    "numbers": (1, 2),
    "numbers in a list": ([1, 2], [2, 1]),
    "in a dict": ({"a": 1}, {"a": 2}),
    "arrays": (np.zeros(3), np.ones(3)),
    "shapes": (np.zeros(3), np.zeros((3, 1))),
    "tensors": (torch.zeros(3), torch.ones(3)),
    "weights": ({"w": torch.zeros(3)}, {"w": torch.ones(3)}),
    "methods": (Unrolled(window=2), Unrolled(window=3)),
    "methods around others": (Clipped(Unrolled(window=2)), Clipped(Unrolled(window=3))),
    "kinds of methods": (Ridge(), Unrolled()),
    "objectives": (TargetedAttack(0, 1), TargetedAttack(1, 0)),
    "partials": (partial(noise, strength=1), partial(noise, strength=2)),
    "closures": (closed_over(1), closed_over(2)),
    "objects": (Noise(1), Noise(2)),
    "lambdas": (lambda x: x.sin(), lambda x: x.cos()),
    "constants of lambdas": (lambda x: x + 1, lambda x: x + 2),
    "dtypes": (torch.float16, torch.bfloat16),
}


@pytest.mark.parametrize("case", PAIRS)
def test_what_differs_is_described_differently(case):
    one, other = PAIRS[case]
    assert describe(one) != describe(other)
    assert describe(one) == describe(copy.deepcopy(one))
    assert json.loads(json.dumps(describe(one))) == describe(one)


def test_a_description_says_nothing_of_memory():
    assert "0x" not in str([describe(value) for pair in PAIRS.values() for value in pair])


def test_a_class_is_described_by_its_name():
    assert describe(MLP) == "MLP"
    assert describe(noise) == "noise(1.0)"
    assert describe(np.float64(0.5)) == 0.5


def test_students_are_identified_by_class_arguments_and_optimizer():
    def identified(student):
        return identity(choose_student(student, (13,), Multiclass(np.arange(3))))

    students = [
        MLP, net(), net(width=9), net().set_params(optimizer__momentum=0.5),
        NeuralNetClassifier(MLP, optimizer=torch.optim.Adam),
    ]  # fmt: skip
    found = [json.dumps(identified(student)) for student in students]
    assert len(set(found)) == len(students)
    assert identified(NeuralNetClassifier(MLP)) == identified(MLP)
