"""What a fit takes for the parameters that the user left open, and why."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import (
    MLP,
    ConvNet,
    DatasetDistiller,
    DatasetDistillerRegressor,
    LeNet,
    Plan,
    Ridge,
    Unrolled,
)
from sklearn_dd._distillers import plan as rules
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.plan import PLANNED, is_open
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._engine import SGD, Adam

from ..helpers import assert_same_fit, named, net, small_pool, tiny, tiny_for_images, tiny_regressor

PASSES, WINDOWED_STEPS = rules._PASSES, rules._WINDOWED_STEPS
SHORT = {"max_iter": 4, "device": "cpu", "random_state": 0}


def planned(distiller, X, y, seconds=None):
    """The plan of a fit, and the problem that it is made for, without the fit."""
    problem = Problem.from_parameters(distiller, X, y, None, 0, seconds)
    first_set(problem, None)
    return problem.parameters.plan, problem


def blobs(n, *shape):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return rng.normal(size=(n, *shape)) + y.reshape(-1, *[1] * len(shape)), y


# What is set, and what is open


SET = {
    "student": partial(MLP, width=9), "method": Unrolled(window=2), "n_steps": 1, "n_epochs": 4,
    "labels": "soft", "data_init": "real", "distill_lr": 0.2, "outer_lr": 0.01,
    "step_size_rate": 0.0, "batch_size": 20, "n_inits": 3, "random_share": 0.25,
    "max_iter": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", SET)
def test_what_the_user_sets_is_kept(table, name):
    distiller = DatasetDistiller(n_per_class=2, **(SHORT | {name: SET[name]}))
    plan, _ = planned(distiller, *table)
    assert plan[name] is SET[name]
    assert plan.reasons[name] == "set"


def test_a_fit_is_run_with_what_is_set(table):
    fitted = DatasetDistiller(n_per_class=2, **SET, random_state=0).fit(*table)
    assert dict(fitted.plan_) == SET
    assert set(fitted.plan_.reasons.values()) == {"set"}
    assert fitted.lrs_.shape == (4, 1)
    np.testing.assert_allclose(np.ptp(fitted.lrs_), 0, atol=1e-9)
    assert fitted.y_syn_.shape == (6, 3)
    assert fitted.student_.module_.net[1].out_features == 9


@pytest.mark.parametrize("make", [DatasetDistiller, DatasetDistillerRegressor])
def test_all_that_is_open_is_decided_with_a_reason(table, make):
    plan = make(**SHORT).fit(*table).plan_
    assert tuple(plan) == PLANNED
    assert len(plan) == len(PLANNED)
    assert not any(is_open(value) for value in plan.values())
    for name in plan:
        why = plan.reasons[name]
        assert why == "set" if name == "max_iter" else why not in ("set", "open", "")


def test_a_distiller_keeps_its_own_parameters(table):
    distiller = DatasetDistiller(**SHORT)
    before = distiller.get_params()
    distiller.fit(*table)
    assert distiller.get_params() == before


def test_a_fit_without_a_limit_leaves_the_limit_open(table):
    plan, _ = planned(DatasetDistiller(), *table)
    assert plan["max_iter"] is None
    assert plan.reasons["max_iter"] not in ("set", "open")


def test_a_plan_prints_a_line_for_each_parameter(table):
    plan, _ = planned(DatasetDistiller(**SHORT), *table)
    lines = repr(plan).splitlines()
    assert [line.split()[0] for line in lines] == [*plan]
    for line in lines:
        name = line.split()[0]
        assert line.endswith(plan.reasons[name])
    assert "partial(MLP, width=512)" in lines[0]
    assert str(Plan({"student": MLP}, {"student": "set"})) == "student  MLP  set"


def test_a_plan_decides_only_what_is_open():
    plan = Plan({"labels": "auto", "n_inits": None, "n_epochs": 3}, {"n_epochs": "set"})
    for name in ("labels", "n_inits", "n_epochs", "batch_size"):
        plan.decide(name, 7, "a number")
    assert dict(plan) == {"labels": 7, "n_inits": 7, "n_epochs": 3, "batch_size": 7}
    assert plan.reasons["n_epochs"] == "set"
    assert plan.reasons["labels"] == "a number"


# The same plan, and the same bits


@pytest.mark.parametrize("make", [DatasetDistiller, DatasetDistillerRegressor])
def test_the_same_seed_gives_the_same_plan_and_the_same_bits(table, make):
    one, other = (make(**SHORT).fit(*table) for _ in range(2))
    assert repr(one.plan_) == repr(other.plan_)
    assert_same_fit(one, other)


@pytest.mark.parametrize("make", [DatasetDistiller, DatasetDistillerRegressor])
def test_a_plan_that_is_passed_back_gives_the_same_fit(table, make):
    planned = make(**SHORT).fit(*table)
    again = make(**planned.plan_, random_state=0, device="cpu").fit(*table)
    assert_same_fit(again, planned)
    assert dict(again.plan_) == dict(planned.plan_)
    assert set(again.plan_.reasons.values()) == {"set"}


def test_a_plan_of_a_convolutional_student_gives_the_same_fit(images):
    settings = {"random_state": 0, "max_iter": 2, "n_epochs": 2, "device": "cpu"}
    student = partial(ConvNet, width=4, depth=1)
    first = DatasetDistiller(student=student, **settings).fit(*images)
    again = DatasetDistiller(**first.plan_, random_state=0, device="cpu").fit(*images)
    assert_same_fit(again, first)


def test_a_plan_can_be_changed(table):
    plan = DatasetDistiller(**SHORT).fit(*table).plan_
    changed = DatasetDistiller(**{**plan, "n_epochs": 3}, random_state=0).fit(*table)
    assert changed.plan_["n_epochs"] == 3
    assert len(changed.lrs_) == 3


def test_a_plan_does_not_depend_on_the_number_of_threads(table):
    plans = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            student = partial(MLP, width=64)  # wide enough to be divided among threads
            distiller = DatasetDistiller(student=student, max_time=20)
            plans.append(repr(planned(distiller, *table, 20.0)[0]))
    finally:
        torch.set_num_threads(1)
    assert plans[0] == plans[1]


@pytest.mark.parametrize("make", [DatasetDistiller, DatasetDistillerRegressor])
def test_a_plan_is_made_without_what_is_held_out(table, make):
    """Other rows in the places of the held-out ones: the same plan."""
    X, y = table[0] / table[0].max(0), np.asarray(table[1])
    distiller = make(standardize=False, validation_fraction=0.3, **SHORT)
    first, problem = planned(distiller, X, y)
    rows, other = problem.held_out.rows, X.copy()
    other[rows] = np.random.default_rng(0).normal(size=(len(rows), 13))
    assert len(rows) > 30
    assert repr(planned(distiller, other, y)[0]) == repr(first)


# The rules


@pytest.mark.parametrize(
    ("n_per_class", "n_steps"),
    [(1, 1), (2, 2), (3, 1), (10, 2), ({0: 2, 1: 4, 2: 6}, 2), ({0: 2, 1: 3, 2: 4}, 1)],
    ids=str,
)
def test_steps_are_on_halves_where_the_samples_of_each_class_can_be_halved(
    table, n_per_class, n_steps
):
    plan, problem = planned(DatasetDistiller(n_per_class), *table)
    assert plan["n_steps"] == n_steps
    assert plan["n_epochs"] == PASSES
    assert int(problem.real.counts.sum()) * n_steps == (
        sum(n_per_class.values()) if isinstance(n_per_class, dict) else 3 * n_per_class
    )


@pytest.mark.parametrize(("n_samples", "n_steps"), [(1, 1), (2, 2), (5, 1), (10, 2)])
def test_so_they_are_in_a_regression(table, n_samples, n_steps):
    plan, _ = planned(DatasetDistillerRegressor(n_samples), *table)
    assert (plan["n_steps"], plan["n_epochs"]) == (n_steps, PASSES)


def width_of(plan):
    assert plan["student"].func is MLP
    return plan["student"].keywords["width"]


def test_a_shorter_fit_has_narrower_students():
    X, y = blobs(60, 200)
    distiller = DatasetDistiller(10)
    found = [width_of(planned(distiller, X, y, s)[0]) for s in (None, 60.0, 6.0, 1.0, 0.01)]
    assert found[0] == found[1]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) >= 3
    assert found[-1] == 64


def test_larger_samples_and_more_of_them_have_narrower_students():
    of_size = [width_of(planned(DatasetDistiller(), *blobs(60, d), 10.0)[0]) for d in (5, 5000)]
    assert of_size[0] > of_size[1]
    X, y = blobs(60, 500)
    of_number = [width_of(planned(DatasetDistiller(n), X, y, 10.0)[0]) for n in (1, 50)]
    assert of_number[0] > of_number[1]


def test_images_are_learned_by_a_multilayer_perceptron_too(images):
    plan, problem = planned(DatasetDistiller(), *images)
    assert width_of(plan) == 512
    assert plan["method"] == "unrolled"
    assert problem.spec.module is MLP


@pytest.mark.parametrize("student", [partial(ConvNet, width=4, depth=1), LeNet], ids=named)
def test_a_convolutional_class_gets_windows_and_adam(student):
    X, y = blobs(24, 28, 28)
    plan, problem = planned(DatasetDistiller(student=student), X, y)
    first, second = plan["method"]
    assert isinstance(first, Ridge)
    assert isinstance(second, Unrolled)
    assert second.window == 5
    assert plan["n_steps"] * plan["n_epochs"] == WINDOWED_STEPS
    assert problem.spec.optimizer == problem.student.optimizer == Adam()
    assert problem.recipe.optimizer == Adam()
    assert plan["outer_lr"] == 0.02
    assert plan["distill_lr"] <= 0.01
    assert len(problem.phases) == 2


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": torch.optim.Adam}], ids=["SGD", "Adam"])
def test_a_convolutional_skorch_net_keeps_its_optimizer(images, optimizer):
    student = NeuralNetClassifier(ConvNet, module__width=4, module__depth=1, **optimizer)
    plan, problem = planned(DatasetDistiller(student=student), *images)
    assert isinstance(plan["method"], list)
    assert problem.spec.optimizer == (Adam() if optimizer else SGD())


class Headless(nn.Sequential):
    """A student that convolves and does not end in a linear layer."""

    def __init__(self):
        super().__init__(nn.Conv2d(1, 3, 8), nn.Flatten())


def several(y):
    return np.eye(3, dtype=int)[y]


@pytest.mark.parametrize(
    ("changes", "of_y"),
    [
        ({"student": partial(ConvNet, width=4, depth=1), "method": "unrolled"}, None),
        ({"student": MLP}, None),
        ({"student": Headless}, None),
        ({"student": partial(ConvNet, width=4, depth=1)}, several),
    ],
    ids=["method is set", "no convolution", "no linear layer", "multilabel"],
)
def test_other_fits_unroll_the_whole_training(images, changes, of_y):
    X, y = images
    plan, problem = planned(DatasetDistiller(**changes), X, of_y(y) if of_y else y)
    assert plan["method"] == "unrolled"
    assert problem.spec.optimizer == SGD()
    assert plan["n_epochs"] == PASSES


def test_a_pool_of_convolutional_nets_is_not_taught_by_windows(images):
    student = partial(ConvNet, width=4, depth=1)
    pool = small_pool(*images, 2, student=student)
    plan, problem = planned(DatasetDistiller(student=student, init=pool), *images)
    assert plan["method"] == "unrolled"
    assert problem.spec.optimizer == SGD()


def test_a_known_net_gets_few_steps(table):
    plan, _ = planned(DatasetDistiller(init="fixed"), *table)
    assert plan["n_epochs"] < PASSES
    assert plan["labels"] == "hard"


def test_with_plenty_of_real_samples_a_known_net_gets_free_labels_and_fewer_steps():
    few, many = (blobs(n, 3) for n in (42, 150))  # 9 values are learned, one sample per class
    (net_,) = small_pool(*many, 1)
    for init, student in (("fixed", None), (net_, net())):
        plans = [
            planned(DatasetDistiller(init=init, student=student, n_per_class=1), *data)[0]
            for data in (few, many)
        ]
        assert plans[1]["labels"] == "free"
        assert plans[1]["n_epochs"] < plans[0]["n_epochs"]
        assert plans[1]["outer_lr"] > plans[0]["outer_lr"]


@pytest.mark.parametrize(
    ("init", "n", "share"), [("fixed", 42, 0.5), ("fixed", 150, 0.0), ("random", 42, 0.0)]
)
def test_few_real_samples_are_learned_for_random_nets_beside_a_fixed_one(init, n, share):
    plan, _ = planned(DatasetDistiller(init=init, n_per_class=1), *blobs(n, 3))
    assert plan["random_share"] == share


def test_a_known_net_that_was_given_is_served_alone():
    (net_,) = small_pool(*blobs(42, 3), 1)
    plan, _ = planned(DatasetDistiller(init=net_, student=net()), *blobs(42, 3))
    assert plan["random_share"] == 0


def test_few_iterations_are_made_at_a_higher_rate(table):
    few, many = (planned(DatasetDistiller(max_iter=n), *table)[0] for n in (100, 5000))
    assert few["outer_lr"] > many["outer_lr"]
    short, long = (planned(DatasetDistiller(), *table, s)[0] for s in (0.001, 60.0))
    assert short["outer_lr"] > long["outer_lr"]
    numbers, _ = planned(DatasetDistillerRegressor(max_iter=5000), *table)
    assert numbers["outer_lr"] == few["outer_lr"]
    models, _ = planned(DatasetDistiller(student=KNeighborsClassifier(1)), *table)
    assert models["outer_lr"] == few["outer_lr"]
    assert models["n_epochs"] == 0


def test_a_fixed_net_may_share_its_place_with_random_ones(table):
    alone, mixed, others = (
        tiny(init="fixed", random_share=share).fit(*table).history_["loss"]
        for share in (0.0, 0.5, 1.0)
    )
    assert alone != mixed != others != alone


def test_numbers_are_learned_at_one_rate():
    X, y = blobs(150, 3)
    plans = [
        planned(DatasetDistillerRegressor(init=init, n_samples=3), X, y * 1.0)[0]
        for init in ("random", "fixed")
    ]
    assert plans[0]["outer_lr"] == plans[1]["outer_lr"]


@pytest.mark.parametrize(
    ("distiller", "labels"),
    [
        (DatasetDistiller(), "hard"),
        (DatasetDistiller(init="fixed", labels="soft"), "soft"),
        (DatasetDistillerRegressor(), "free"),
        (DatasetDistillerRegressor(labels="hard"), "hard"),
    ],
    ids=["classes", "set", "numbers", "set for numbers"],
)
def test_labels(table, distiller, labels):
    assert planned(distiller, *table)[0]["labels"] == labels


def test_a_warm_start_leaves_nothing_open(table):
    """Samples and step sizes are those that the last fit ended with."""
    plan = DatasetDistiller(warm_start=True, **SHORT).fit(*table).fit(*table).plan_
    assert not any(is_open(value) for value in plan.values())


@pytest.mark.parametrize("make", [tiny, tiny_for_images, tiny_regressor])
def test_the_tests_own_distillers_leave_nothing_open(images, make):
    """Or each change of the plan would change all tests."""
    X, y = images
    plan, _ = planned(make(), X, y)
    assert set(plan.reasons.values()) == {"set"}
