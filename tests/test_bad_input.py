"""An error names the parameter, the rule, the value received and the remedy."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import (
    DatasetDistiller,
    DatasetDistillerRegressor,
    RandomSamples,
    TargetedAttack,
    train_pool,
)
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.ridge import Ridge
from sklearn_dd.modules import MLP, ConvNet, LeNet

from .conftest import named, net, tiny, tiny_for_images

# -------------------------------------------------------------------------------------- X and y


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "predict", "predict_proba", "transform", "evaluate"])
def test_X_that_is_not_finite(table, fitted, method, value):
    X, y = table
    X = X.copy()
    X[3, 2] = value
    distiller = tiny() if method == "fit" else fitted
    arguments = (X, y) if method in ("fit", "evaluate") else (X,)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        getattr(distiller, method)(*arguments)


def test_images_that_are_not_finite(images):
    X, y = images[0].astype(float), images[1]
    X[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        tiny_for_images().fit(X, y)


def test_X_of_one_sample(table):
    X, y = table
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        tiny().fit(X[:1], y[:1])


def test_X_of_no_features(table):
    X, y = table
    with pytest.raises(ValueError, match=r"0 feature.*minimum of 1"):
        tiny().fit(X[:, :0], y)


@pytest.mark.parametrize("X", [np.arange(6.0), 3.0], ids=["vector", "number"])
def test_X_of_too_few_dimensions(X):
    with pytest.raises(ValueError, match="Expected 2D array"):
        tiny().fit(X, np.arange(6) % 2)


def test_X_that_is_sparse(table):
    X, y = table
    with pytest.raises(TypeError, match=r"[Ss]parse.*dense"):
        tiny().fit(csr_array(X), y)


def test_X_of_words(table):
    X, y = table
    with pytest.raises(ValueError, match=r"numeric values|string to float"):
        tiny().fit(np.full(X.shape, "word"), y)


def test_y_of_one_class(table):
    X, y = table
    with pytest.raises(ValueError, match=r"y must hold at least 2 classes.*only one class"):
        tiny().fit(X, np.zeros(len(y)))


def test_y_missing(table):
    X, _ = table
    with pytest.raises(ValueError, match="requires y to be passed"):
        tiny().fit(X, None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        tiny().fit(X)


def test_y_continuous(table):
    X, y = table
    with pytest.raises(ValueError, match=r"Unknown label type: continuous"):
        tiny().fit(X, y + 0.5 * np.arange(len(y)))


def test_y_of_missing_values(table):
    X, y = table
    with pytest.raises(ValueError, match="y contains NaN"):
        tiny().fit(X, np.where(y == 0, np.nan, y))


def test_y_of_several_columns_that_are_not_of_labels(table):
    X, y = table
    with pytest.raises(ValueError, match=r"y must hold 0 or 1 .* 2 labels, but .*\[0, 1, 2\]"):
        tiny().fit(X, np.column_stack([y, y]))


def test_y_of_another_length(table):
    X, y = table
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit(X, y[:-1])


# ----------------------------------------------------------------------------- names and sizes


@pytest.mark.parametrize("parameter", ["labels", "data_init", "objective", "method"])
def test_an_unknown_name(table, parameter):
    with pytest.raises(ValueError, match=rf"'{parameter}' parameter.*Got 'magic' instead"):
        tiny(**{parameter: "magic"}).fit(*table)


@pytest.mark.parametrize("method", [[], ["unrolled"], [Unrolled(), 3]], ids=str)
def test_a_list_of_what_are_no_estimators(table, method):
    with pytest.raises(ValueError, match=r"method=.* a list of such estimators"):
        tiny(method=method).fit(*table)


SIZES = {
    "n_per_class": (0, -1, 1.5),
    "n_steps": (0, -1, 1.5),
    "n_epochs": (0, -1, 1.5),
    "distill_lr": (0, -0.1, "fast"),
    "max_iter": (0, -1, 1.5),
    "outer_lr": (0, -0.1),
    "batch_size": (0, -1, 1.5),
    "n_inits": (0, -1, 1.5),
    "validation_fraction": (-0.1, 1.0, 2),
    "n_iter_no_change": (0, -1, 1.5),
    "standardize": ("yes",),
    "warm_start": ("yes",),
    "sample_shape": (13, "13"),
    "random_state": ("seed", -1),
    "verbose": ("loud", -1),
}


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in SIZES.items() for value in values]
)
def test_a_value_out_of_range(table, parameter, value):
    rule = rf"'{parameter}' parameter of DatasetDistiller must be .* Got {value!r} instead"
    with pytest.raises(ValueError, match=rule):
        tiny(**{parameter: value}).fit(*table)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("parameter", ["distill_lr", "outer_lr"])
def test_a_rate_that_is_not_finite(table, parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter"):
        tiny(**{parameter: value}).fit(*table)


@pytest.mark.parametrize("n_per_class", [3, {0: 2, 1: 4, 2: 5}], ids=named)
def test_n_steps_that_does_not_divide_n_per_class(table, n_per_class):
    rule = re.escape(f"n_steps=2 must divide n_per_class={n_per_class}") + ".*Choose a divisor"
    with pytest.raises(ValueError, match=rule):
        tiny(n_per_class=n_per_class, n_steps=2).fit(*table)


@pytest.mark.parametrize(
    "n_per_class", [{}, {0: 1, 1: 1}, {0: 1, 1: 1, 2: 1, 3: 1}, {"0": 1, "1": 1, "2": 1}], ids=str
)
def test_n_per_class_of_other_classes(table, n_per_class):
    rule = r"n_per_class must name each class of y once, \[0, 1, 2\], but names "
    with pytest.raises(ValueError, match=rule + re.escape(str(list(n_per_class)))):
        tiny(n_per_class=n_per_class).fit(*table)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None])
def test_n_per_class_of_no_count(table, count):
    with pytest.raises(ValueError, match="n_per_class must be an integer of at least 1 for each"):
        tiny(n_per_class={0: 1, 1: 1, 2: count}).fit(*table)


@pytest.mark.parametrize("sample_shape", [(12,), (1, 13, 2), (), (-1, -13), (13, 0)], ids=str)
def test_sample_shape_that_does_not_fit(table, sample_shape):
    rule = re.escape(f"sample_shape={sample_shape}") + r".*Give the \(channels, height, width\)"
    with pytest.raises(ValueError, match=rule):
        tiny(sample_shape=sample_shape).fit(*table)


def test_sample_shape_of_other_images(images):
    with pytest.raises(
        ValueError, match=r"sample_shape=\(3, 8, 8\) has 192.*shape \(8, 8\), so 64"
    ):
        tiny_for_images(sample_shape=(3, 8, 8)).fit(*images)


@pytest.mark.parametrize("rows", [(2, 13), (3, 12), (3, 13, 1), (0, 13)], ids=str)
def test_data_init_of_another_shape(table, rows):
    rule = r"data_init must be finite and of shape \(3, 13\).*has shape " + re.escape(str(rows))
    with pytest.raises(ValueError, match=rule):
        tiny(data_init=np.zeros(rows)).fit(*table)


def test_data_init_that_is_not_finite(table):
    with pytest.raises(ValueError, match="data_init must be finite"):
        tiny(data_init=np.full((3, 13), np.nan)).fit(*table)


def test_an_unknown_device(table):
    with pytest.raises(ValueError, match="device='abacus' is not a device that torch knows"):
        tiny(device="abacus").fit(*table)


def test_an_unavailable_device(table):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = next(name for name, available in there.items() if not available)
    for value in (device, torch.device(device)):
        with pytest.raises(ValueError, match=r"device=.*is not available here: choose 'auto'"):
            tiny(device=value).fit(*table)


# ------------------------------------------------------------------------------------- students


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


@pytest.mark.parametrize(
    ("pool", "rule"),
    [
        ([], "init is an empty list"),
        (
            [MLP((13,), 3, width=8).state_dict(), MLP((13,), 3, width=9).state_dict()],
            r"init\[1\] does not fit the student MLP.*'1.weight'.*\(8, 13\).*\(9, 13\)",
        ),
        ([Narrow().state_dict()], r"init\[0\] does not fit the student MLP.*none of that name"),
        ([{}], r"init\[0\] does not fit the student MLP.*none of that name"),
        ([NeuralNetClassifier(MLP)], r"init\[0\] is a skorch net that is not fitted: fit it first"),
        (["random"], r"init\[0\]"),
        ([MLP], r"init\[0\]"),
    ],
    ids=["empty", "width", "other net", "no weights", "not fitted", "name", "class"],
)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_a_pool_of_weights_that_does_not_fit(table, fitted, pool, rule, where):
    X, y = table
    call = tiny(init=pool).fit if where == "fit" else partial(fitted.evaluate, init=pool)
    with pytest.raises((TypeError, ValueError), match=rule):
        call(X, y)


@pytest.mark.parametrize(
    ("init", "rule"),
    [
        ("zero", r"init must be 'random', 'fixed', .* got 'zero'"),
        (MLP((13,), 3, width=8), r"(?s)init must be .*give its state_dict"),
        (MLP, r"init must be .*give its state_dict"),
        (NeuralNetClassifier(MLP), r"init must be .*Wrap one net in a list"),
    ],
    ids=["name", "module", "class", "not in a list"],
)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_an_init_that_is_none(table, fitted, init, rule, where):
    call = tiny(init=init).fit if where == "fit" else partial(fitted.evaluate, init=init)
    with pytest.raises((TypeError, ValueError), match=rule):
        call(*table)


@pytest.mark.parametrize(
    "call", [RandomSamples().fit, partial(train_pool, None, n_nets=1)], ids=["baseline", "pool"]
)
def test_y_that_only_a_distiller_takes(table, call):
    X, y = table
    with pytest.raises(ValueError, match=r"one class for each sample, but has shape \(178, 3\)"):
        call(X=X, y=np.eye(3)[y])
    with pytest.raises(ValueError, match="y is None: give a class for each sample"):
        call(X=X, y=None)


@pytest.mark.parametrize("method", [Unrolled, Ridge, [Ridge]], ids=str)
def test_a_method_that_is_a_class(table, method):
    with pytest.raises(ValueError, match=r"method=.* must be a name, an estimator"):
        tiny(method=method).fit(*table)


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


def test_values_to_predict_that_are_too_large_for_float32(fitted, table):
    X, y = table
    X = np.where(np.arange(13) == 0, 1e39, X)
    for call in (fitted.predict, partial(fitted.evaluate, y=y)):
        with pytest.raises(ValueError, match="too large for float32"):
            call(X)


@pytest.mark.parametrize("shape", [("a", 8, 8), (1.0, 8, 8), (-1, -8, 8)])
def test_a_sample_shape_of_other_than_positive_integers(images, shape):
    with pytest.raises(ValueError, match=r"sample_shape=.* must hold positive integers"):
        tiny(sample_shape=shape).fit(*images)


def test_a_refused_fit_leaves_the_last_one_as_it_was(table):
    X, y = table
    distiller = tiny().fit(X, y)
    before = distiller.predict(X)
    with pytest.raises(ValueError, match="only one class"):
        distiller.fit(X[:, :5], np.zeros(len(y)))
    assert_array_equal(distiller.predict(X), before)


def test_weights_that_are_not_finite(table):
    weights = {name: p * np.nan for name, p in MLP((13,), 3, width=8).state_dict().items()}
    with pytest.raises(ValueError, match=r"init\[0\].*finite"):
        tiny(init=[weights]).fit(*table)


# ------------------------------------------------------------------------ after, or before, fit


@pytest.mark.parametrize(
    "call",
    [
        lambda d, X, y: d.predict(X),
        lambda d, X, y: d.predict_proba(X),
        lambda d, X, y: d.transform(),
        lambda d, X, y: d.transform(X),
        lambda d, X, y: d.score(X, y),
        lambda d, X, y: d.evaluate(X, y),
        lambda d, X, y: d.get_feature_names_out(),
    ],
    ids=["predict", "predict_proba", "transform", "transform X", "score", "evaluate", "names"],
)
def test_calls_before_fit(table, call):
    with pytest.raises(NotFittedError, match="DatasetDistiller instance is not fitted yet"):
        call(DatasetDistiller(), *table)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "score", "evaluate"])
def test_X_of_another_width(table, fitted, method):
    X, y = table
    arguments = (X[:, :5], y) if method in ("score", "evaluate") else (X[:, :5],)
    with pytest.raises(ValueError, match="X has 5 features, but DatasetDistiller is expecting 13"):
        getattr(fitted, method)(*arguments)


def test_images_of_another_size(images):
    X, y = images
    distiller = tiny_for_images().fit(X, y)
    with pytest.raises(ValueError, match="X has 56 features, but DatasetDistiller is expecting 64"):
        distiller.predict(X[:, :7])


def test_images_of_another_layout(images):
    X, y = images
    distiller = tiny_for_images().fit(np.stack([X] * 3, axis=-1), y)
    with pytest.raises(ValueError, match=r"\(3, 8, 8\).*\(8, 8, 3\)|\(8, 8, 3\).*\(3, 8, 8\)"):
        distiller.predict(np.stack([X] * 3, axis=1))


@pytest.mark.parametrize("unknown", [7, "red"])
def test_evaluate_labels_that_fit_never_saw(table, fitted, unknown):
    X, y = table
    y = y.astype(object if isinstance(unknown, str) else int)
    y[0] = unknown
    with pytest.raises(ValueError, match=rf"y must hold classes .*\[0, 1, 2\].*{unknown}"):
        fitted.evaluate(X, y)


def test_evaluate_labels_of_another_length(table, fitted):
    X, y = table
    with pytest.raises(ValueError, match=r"y must have a label for each sample, 178, but has 177"):
        fitted.evaluate(X, y[:-1])


@pytest.mark.parametrize("n_inits", [0, -1, 1.5, "20"])
def test_evaluate_no_students(table, fitted, n_inits):
    with pytest.raises((TypeError, ValueError), match="n_inits"):
        fitted.evaluate(*table, n_inits=n_inits)


def test_evaluate_an_unknown_prior(table, fitted):
    with pytest.raises(ValueError, match=r"init.*'magic'"):
        fitted.evaluate(*table, init="magic")


def test_an_unknown_container(fitted):
    with pytest.raises(ValueError, match="transform must be 'default', 'pandas', 'polars' or None"):
        fitted.set_output(transform="spreadsheet")


# A fit that fails leaves what the last one learned.

FAILING = {
    "X is not finite": ({}, lambda X, y: (X * np.nan, y)),
    "y is missing": ({}, lambda X, y: (X, None)),
    "y is continuous": ({}, lambda X, y: (X, y + 0.5 * np.arange(len(y)))),
    "one class": ({}, lambda X, y: (X, np.zeros_like(y))),
    "unknown name": ({"labels": "magic"}, lambda X, y: (X, y)),
    "n_steps": ({"n_steps": 2}, lambda X, y: (X, y)),
    "other classes and n_steps": ({"n_steps": 2}, lambda X, y: (X, y + 5)),
    "sample_shape": ({"sample_shape": (2, 7)}, lambda X, y: (X, y)),
    "student": ({"student": TooFew}, lambda X, y: (X, y)),
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
    before = distiller.predict(X), distiller.transform(), distiller.evaluate(X, y, n_inits=2)
    with pytest.raises((TypeError, ValueError)):
        distiller.set_params(**changes).fit(*spoil(X, y))
    distiller.set_params(device="cpu", student=student, init="random")
    assert_array_equal(distiller.predict(X), before[0])
    for after, a in zip(distiller.transform(), before[1], strict=True):
        assert_array_equal(after, a)
    assert_array_equal(distiller.evaluate(X, y, n_inits=2).step_scores, before[2].step_scores)


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


def test_one_net_that_is_not_in_a_list(table):
    with pytest.raises(TypeError, match=r"init must be .*Wrap one net in a list"):
        tiny().fit(*table).evaluate(*table, init=NeuralNetClassifier(MLP))


def test_a_feature_far_from_zero_for_its_spread_warns(table):
    X, y = table
    with pytest.warns(UserWarning, match=r"float32.*Subtract the mean"):
        tiny().fit(X + 1e8, y)


@pytest.mark.filterwarnings("error")
def test_a_constant_feature_far_from_zero_is_no_matter(table):
    X, y = table
    tiny().fit(np.where(np.arange(13) == 0, 20230101, X), y)


@pytest.mark.filterwarnings("error")
def test_values_too_large_for_float32(table):
    X, y = table
    with pytest.raises(ValueError, match=r"too large for float32.*Scale it down"):
        tiny().fit(X * 1e37, y)


def test_the_skorch_student_refuses_another_width(table):
    distiller = tiny().fit(*table)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        distiller.student_.predict(np.zeros((10, 26), np.float32))
