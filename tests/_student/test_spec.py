"""Which student is built, and which are refused."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sklearn_dd import (
    MLP,
    ConvNet,
    DatasetDistillerRegressor,
    LeNet,
)
from sklearn_dd._data import Multiclass
from sklearn_dd._engine import SGD, Adam
from sklearn_dd._student import choose_student

from ..helpers import (
    Linear,
    OneAtATime,
    Wide,
    named,
    net,
    tiny,
    tiny_regressor,
)

TARGETS = Multiclass(np.array([0, 1, 2]))


@pytest.mark.parametrize("shape", [(20,), (1, 8, 8), (3, 16, 16), (1, 28, 28)])
def test_who_names_no_student_gets_a_multilayer_perceptron(shape):
    spec = choose_student(None, shape, TARGETS)
    expected = {"width": 512, "sample_shape": shape, "n_classes": 3}
    assert (spec.module, spec.arguments, spec.optimizer) == (MLP, expected, SGD())


def test_a_partial_is_its_class_with_arguments():
    spec = choose_student(partial(MLP, width=5, depth=2), (4,), TARGETS)
    expected = {"width": 5, "depth": 2, "sample_shape": (4,), "n_classes": 3}
    assert (spec.module, spec.arguments, spec.name) == (MLP, expected, "MLP")
    assert spec.shapes() == choose_student(net(width=5, depth=2), (4,), TARGETS).shapes()


def test_what_a_partial_sets_goes_before_what_the_data_say():
    with pytest.raises(ValueError, match=r"student MLP must return logits of shape \(batch, 3\)"):
        choose_student(partial(MLP, n_classes=5), (4,), TARGETS)


@pytest.mark.parametrize("student", [None, MLP, partial(MLP, width=5), net()], ids=named)
def test_the_optimizer_that_is_offered_is_taken_by_all_but_a_skorch_net(student):
    own = isinstance(student, NeuralNetClassifier)
    assert choose_student(student, (4,), TARGETS, Adam()).optimizer == (SGD() if own else Adam())


@pytest.mark.parametrize(
    "student", [Linear, Wide, OneAtATime, NeuralNetClassifier(Wide), net(MLP, 5, depth=2)],
    ids=["class", "class with arguments", "class without vmap", "skorch", "skorch with arguments"],
)  # fmt: skip
def test_any_module_may_be_the_student(table, student):
    X, y = table
    distiller = tiny(student=student, n_per_class=2, n_steps=2).fit(X, y)
    module = student.module if isinstance(student, NeuralNetClassifier) else student
    assert type(distiller.student_.module_.net) is module
    assert distiller.evaluate(X, y, n_inits=2).scores.shape == (2,)


class TooFew(nn.Linear):
    def __init__(self):
        super().__init__(13, 2)


class Pair(nn.Linear):
    def __init__(self):
        super().__init__(13, 3)

    def forward(self, x):
        return super().forward(x), x


class Narrow(nn.Linear):
    def __init__(self):
        super().__init__(5, 3)


class Probabilities(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(13, 3), nn.Softmax(dim=1))


class BatchNormed(nn.Sequential):
    def __init__(self, track_running_stats=True):
        super().__init__(
            nn.Linear(13, 6),
            nn.BatchNorm1d(6, track_running_stats=track_running_stats),
            nn.Linear(6, 3),
        )


class Needy(nn.Linear):
    def __init__(self, size):
        super().__init__(size, 3)


@pytest.mark.parametrize(
    ("student", "rule"),
    [
        (TooFew, r"student TooFew must return logits of shape \(batch, 3\).*\(2, 2\).*n_classes"),
        (Pair, r"student Pair must return logits of shape \(batch, 3\)"),
        (Narrow, r"student Narrow cannot take samples of sample_shape=\(13,\).*another student"),
        (Probabilities, "student Probabilities returns probabilities.*Leave out its last softmax"),
        (BatchNormed, "student BatchNormed has the buffer.*BatchNorm.*Use GroupNorm"),
        (ConvNet, r"ConvNet takes images.*sample_shape=\(13,\).*choose student=MLP"),
        (LeNet, r"LeNet takes images.*sample_shape=\(13,\).*choose student=MLP"),
        (NeuralNetClassifier(TooFew), "student TooFew must return logits"),
        (net(MLP, n_classes=5), r"student MLP must return logits of shape \(batch, 3\)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else named(value)[:30],
)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_a_student_that_does_not_fit(table, fitted, student, rule, where):
    X, y = table
    call = (
        tiny(student=student).fit if where == "fit" else partial(fitted.evaluate, student=student)
    )
    with pytest.raises(ValueError, match=rule):
        call(X, y)


@pytest.mark.parametrize(
    "student",
    [MLP((13,), 3), NeuralNetClassifier(MLP((13,), 3)), "MLP", 3],
    ids=["instance", "skorch around an instance", "name", "number"],
)
def test_a_student_that_is_not_a_class(table, student):
    rule = "student must be None, an nn.Module class or an unfitted skorch net, such as Neu"
    with pytest.raises((TypeError, ValueError), match=rule):
        tiny(student=student).fit(*table)


def test_a_student_that_builds_something_else(table):
    with pytest.raises(TypeError, match=r"student list must build an nn.Module"):
        tiny(student=list).fit(*table)


def test_a_student_that_needs_more_arguments(table):
    with pytest.raises((TypeError, ValueError), match=r"student Needy.*size"):
        tiny(student=Needy).fit(*table)


class One(nn.Module):
    """Says 1 of everything, as an AlexNet with one output does at first."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return 0 * x.sum(1, keepdim=True) + self.bias


def test_one_output_is_no_probability(table):
    DatasetDistillerRegressor(student=One, max_iter=1).fit(*table)


def test_batch_norm_without_running_statistics_is_welcome(table):
    student = NeuralNetClassifier(BatchNormed, module__track_running_stats=False)
    tiny(student=student, n_per_class=2).fit(*table)


class Doubling(MLP):
    def forward(self, x):
        return super().forward(x.mul_(2))


def test_a_student_that_changes_its_samples(table):
    with pytest.raises(ValueError, match="student Doubling changes the samples"):
        tiny(student=Doubling).fit(*table)


def test_an_adam_that_cannot_be_differentiated(table):
    adam = net().set_params(optimizer=torch.optim.Adam, optimizer__eps=0.0)
    with pytest.raises(ValueError, match="eps must be positive"):
        tiny(student=adam).fit(*table)


def test_another_default_dtype(table, monkeypatch):
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match=r"default dtype must be float32.*set_default_dtype"):
            tiny().fit(*table)
    finally:
        torch.set_default_dtype(torch.float32)


class Frozen(MLP):
    def __init__(self, sample_shape, n_classes):
        super().__init__(sample_shape, n_classes, width=4)
        self[1].requires_grad_(False)


class Lazy(nn.Sequential):
    def __init__(self, n_classes):
        super().__init__(nn.LazyLinear(n_classes))


class Nothing(nn.Module):
    def forward(self, x):
        return x[:, :3]


@pytest.mark.parametrize(
    ("student", "match"),
    [
        (Frozen, r"frozen parameter '1\.weight'.*buffer"),
        (Lazy, "lazy parameter.*sample_shape"),
        (Nothing, "no parameters"),
    ],
)
def test_parameters_that_cannot_be_trained(table, student, match):
    with pytest.raises(ValueError, match=match):
        tiny(student=student).fit(*table)


REFUSED = {
    "criterion": ({"criterion": nn.MultiMarginLoss}, "criterion MultiMarginLoss"),
    "criterion__weight": (
        {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.ones(3)},
        "criterion CrossEntropyLoss with .*weight",
    ),
    "criterion__label_smoothing": (
        {"criterion": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.1},
        "label_smoothing",
    ),
    "callbacks": ({"callbacks": [EarlyStopping()]}, "callbacks=.*EarlyStopping"),
    "named callbacks": ({"callbacks": [("lr", LRScheduler())]}, "callbacks=.*LRScheduler"),
    "weight decay": ({"optimizer__weight_decay": 1e-4}, "optimizer SGD with .*weight_decay"),
    "nesterov": ({"optimizer__momentum": 0.9, "optimizer__nesterov": True}, "nesterov"),
    "decay of Adam": (
        {"optimizer": torch.optim.Adam, "optimizer__weight_decay": 1e-4},
        "optimizer Adam with .*weight_decay",
    ),
    "optimizer": ({"optimizer": torch.optim.LBFGS}, "optimizer LBFGS"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("where", ["fit", "evaluate", "train"])
def test_what_a_distilled_schedule_would_ignore_is_refused_by_name(table, fitted, case, where):
    settings, rule = REFUSED[case]
    student = NeuralNetClassifier(MLP, **settings)
    calls = {
        "fit": lambda: tiny(student=student).fit(*table),
        "evaluate": lambda: fitted.evaluate(*table, student=student),
        "train": lambda: fitted.transform().train(student),
    }
    with pytest.raises(ValueError, match=f"student has (the )?{rule}|student has .*{rule}"):
        calls[where]()


def test_the_criteria_that_say_what_students_learn_by_are_taken(table):
    X, y = table
    plain, named = (
        tiny(student=NeuralNetClassifier(MLP, **settings)).fit(X, y)
        for settings in ({}, {"criterion": nn.CrossEntropyLoss})
    )
    assert_array_equal(named.X_syn_, plain.X_syn_)
    with pytest.raises(ValueError, match="criterion MSELoss"):
        tiny(student=NeuralNetClassifier(MLP, criterion=nn.MSELoss)).fit(X, y)
    plain, named = (
        tiny_regressor(student=NeuralNetRegressor(MLP, **settings)).fit(X, X[:, 0])
        for settings in ({}, {"criterion": nn.MSELoss})
    )
    assert_array_equal(named.X_syn_, plain.X_syn_)
    with pytest.raises(ValueError, match="criterion L1Loss"):
        tiny_regressor(student=NeuralNetRegressor(MLP, criterion=nn.L1Loss)).fit(X, X[:, 0])
    labels = np.eye(3)[y]
    tiny(student=NeuralNetClassifier(MLP, criterion=nn.BCEWithLogitsLoss)).fit(X, labels)
    with pytest.raises(ValueError, match="criterion CrossEntropyLoss"):
        tiny(student=NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss)).fit(X, labels)


def test_what_the_distilled_schedule_replaces_has_no_effect(table):
    other = net().set_params(lr=9.0, max_epochs=77, batch_size=1, train_split=None)
    assert_array_equal(tiny(student=other).fit(*table).X_syn_, tiny().fit(*table).X_syn_)
