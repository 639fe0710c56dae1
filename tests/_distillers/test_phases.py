"""From the method that the user names to the phases of a fit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from sklearn_dd import (
    MLP,
    Clipped,
    CudaGraph,
    DistributionMatching,
    GradientMatching,
    Ridge,
    Unrolled,
)
from sklearn_dd._distillers.phases import METHODS
from sklearn_dd.methods import Hypergradient, Method, OuterProblem, TargetKind, naive_hypergradient

from ..helpers import (
    Watched,
    same,
    tiny,
    tiny_for_images,
    tiny_regressor,
)


def test_the_named_method_is_the_exact_hypergradient(table):
    by_name = tiny().fit_transform(*table)
    by_object = tiny(method=Unrolled()).fit_transform(*table)
    assert_allclose(by_object.X, by_name.X, rtol=1e-4)


def test_methods_in_a_list_follow_one_another(table):
    first, second = Watched(), Watched()
    listed = tiny(method=[first, second], max_iter=6, validation_fraction=0).fit(*table)
    assert (len(first.seen), len(second.seen)) == (3, 3)
    assert listed.n_iter_ == 6
    # The rates of the first fall along a cosine; the second begins where the first ended, with a
    # search and a finish.
    rates = [0.05 * (1 + np.cos(np.pi * k / 3)) / 2 for k in range(3)] + [0.05] * 2
    steps = [x for x, _, _ in first.seen + second.seen]
    for k, (a, b) in enumerate(pairwise(steps)):
        if k in (0, 3):  # Adam's first step has the length of its rate
            assert_allclose((b - a).abs().max(), rates[k], rtol=0.01)
        assert 0 < (b - a).abs().max() < 1.5 * rates[k]
    assert listed.stop_reason_ == "max_iter"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_step_sizes_and_samples(table, method):
    X, y = table
    distiller = tiny(method=method, max_iter=10).fit(X, y)
    assert distiller.n_iter_ == 10
    assert len(np.unique(distiller.lrs_)) > 1
    start = tiny(method=method, max_iter=10, outer_lr=1e-12).fit(X, y)
    assert not np.allclose(distiller.X_syn_, start.X_syn_)


def test_a_method_that_is_an_object(table):
    windows = tiny(method=Unrolled(window=1)).fit(*table)
    assert not np.array_equal(windows.X_syn_, tiny().fit(*table).X_syn_)


def test_a_ridge_within_another_method_is_followed_by_unrolled_steps(table):
    fitted = tiny(method=Clipped(Ridge()), max_iter=10).fit(*table)
    assert len(np.unique(fitted.lrs_)) > 1


def test_features_need_a_linear_layer_at_the_end(table):

    class Squashed(nn.Sequential):
        def __init__(self, sample_shape, n_classes):
            super().__init__(nn.Linear(sample_shape[0], n_classes), nn.Tanh())

    with pytest.raises(ValueError, match=r"method='ridge'.*last linear layer.*'unrolled'"):
        tiny(method="ridge", student=Squashed).fit(*table)


def test_a_table_cannot_be_augmented(table):
    with pytest.raises(ValueError, match=r"augment='flip'.*images.*sample_shape"):
        tiny(augment="flip").fit(*table)


def test_augmentation_changes_what_is_learned(images):
    X, y = images
    assert not np.array_equal(
        tiny_for_images(augment="shift").fit(X, y).X_syn_, tiny_for_images().fit(X, y).X_syn_
    )


@pytest.mark.parametrize("method", [[], ["unrolled"], [Unrolled(), 3]], ids=str)
def test_a_list_of_what_are_no_methods(table, method):
    with pytest.raises(
        ValueError, match=r"method=.* must be a name, a method object or a list of methods"
    ):
        tiny(method=method).fit(*table)


@pytest.mark.parametrize("method", [Unrolled, Ridge, [Ridge]], ids=str)
def test_a_method_that_is_a_class(table, method):
    with pytest.raises(ValueError, match=r"method=.* must be a name, a method object"):
        tiny(method=method).fit(*table)


# Methods of a user's own


class Counting(Method):
    """Unrolled, with a memory of what it was asked for."""

    def __init__(self):
        self.calls = 0

    def __deepcopy__(self, memo):
        return self  # the fit works on a copy, and this test looks into it

    def __call__(self, problem):
        self.calls += 1
        return Unrolled()(problem)


class SamplesOnly(Counting):
    learns_step_sizes = False

    def __call__(self, problem):
        return super().__call__(problem)._replace(lrs=torch.zeros_like(problem.lrs))


class OfClasses(Counting):
    targets = frozenset({TargetKind.MULTICLASS})


class OfFeatures(Counting):
    needs_features = True

    def __call__(self, problem):
        features = problem.student.features(problem.params, problem.real[0])
        assert features.shape[-1] == 8, "the width of the hidden layer"
        return super().__call__(problem)


class OfSquares(Counting):
    @staticmethod
    def default_objective(outputs, y):
        return (outputs - F.one_hot(y, outputs.shape[-1])).square().mean()


def test_a_method_that_learns_step_sizes_has_the_whole_fit(table):
    method = Counting()
    found = tiny(method=method, max_iter=6).fit_transform(*table)
    assert method.calls == 6
    assert same(found, tiny(method=Unrolled(), max_iter=6).fit_transform(*table))


def test_a_method_that_does_not_is_followed_by_unrolling(table):
    method = SamplesOnly()
    found = tiny(method=method, max_iter=6).fit_transform(*table)
    assert method.calls == 3
    assert len(np.unique(found.lrs)) > 1
    listed = SamplesOnly()  # in a list, nothing is added
    found = tiny(method=[listed], max_iter=6).fit_transform(*table)
    assert listed.calls == 6
    assert_allclose(found.lrs, 0.3, rtol=1e-5)
    clipped = tiny(method=Clipped(SamplesOnly()), max_iter=6).fit_transform(*table)
    assert len(np.unique(clipped.lrs)) > 1


def test_a_method_is_refused_for_targets_that_it_does_not_take(table):
    X, y = table
    tiny(method=OfClasses()).fit(X, y)
    with pytest.raises(ValueError, match=r"takes a multiclass y, but this y is multilabel\. Use"):
        tiny(method=OfClasses()).fit(X, np.eye(3)[y])
    with pytest.raises(ValueError, match=r"takes a multiclass y, but this y is continuous\. Use"):
        tiny_regressor(method=Clipped(OfClasses())).fit(X, y)


def test_a_method_is_given_the_features_that_it_needs(table):
    class Squashed(MLP):
        def forward(self, x):
            return super().forward(x).tanh()

    tiny(method=OfFeatures()).fit(*table)
    with pytest.raises(ValueError, match=r"last linear layer.*Use method='unrolled'"):
        tiny(method=OfFeatures(), student=Squashed).fit(*table)


def test_a_method_may_have_an_objective_of_its_own(table):
    own = tiny(method=OfSquares()).fit_transform(*table)
    named = tiny(objective=OfSquares.default_objective, validation_fraction=0.1).fit(*table)
    assert named.history_["loss"] == tiny(method=OfSquares()).fit(*table).history_["loss"]
    assert not same(own, tiny().fit_transform(*table))
    # What the user names goes before it.
    users = tiny(method=OfSquares(), objective=F.cross_entropy).fit(*table)
    assert_allclose(users.history_["loss"], tiny().fit(*table).history_["loss"], rtol=1e-4)


def test_a_plain_function_is_a_method(table):
    kinds = []

    def backwards(problem):
        kinds.append(type(problem))
        exact = Unrolled()(problem)
        return Hypergradient(exact.loss, exact.x, exact.y, -exact.lrs)

    found = tiny(method=backwards).fit(*table)
    assert kinds == [OuterProblem] * 3
    plain = tiny().fit(*table)
    assert_array_equal((found.lrs_ > 0.3), (plain.lrs_ < 0.3))
    reference = tiny(method=naive_hypergradient).fit(*table)
    assert_allclose(reference.X_syn_, tiny().fit(*table).X_syn_, rtol=1e-4)


def test_a_function_may_say_what_it_can_do(table):
    def samples_only(problem):
        return Unrolled()(problem)._replace(lrs=torch.zeros_like(problem.lrs))

    samples_only.learns_step_sizes = False
    samples_only.targets = frozenset({TargetKind.MULTICLASS})
    assert len(np.unique(tiny(method=samples_only, max_iter=6).fit(*table).lrs_)) > 1
    with pytest.raises(ValueError, match="this y is continuous"):
        tiny_regressor(method=samples_only).fit(*table)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("ridge", Ridge()), ("distribution", DistributionMatching()),
        ("gradient", GradientMatching()), ("unrolled", CudaGraph()),
    ],
)  # fmt: skip
def test_a_name_and_its_object_do_the_same(table, name, method):
    by_name, by_object = (tiny(method=of, max_iter=4).fit(*table) for of in (name, method))
    assert_array_equal(by_object.X_syn_, by_name.X_syn_)
    assert_array_equal(by_object.lrs_, by_name.lrs_)


def test_a_fit_leaves_its_method_as_it_was(table):
    method = [Clipped(Unrolled(window=1)), Ridge()]
    first, again = (tiny(method=method, max_iter=4).fit_transform(*table) for _ in range(2))
    assert same(first, again)
    assert method[0].running_norm is None
    assert method[1].pool == {}


def test_what_is_no_name_of_a_method(table):
    with pytest.raises(ValueError, match=r"'method' parameter.*Got 'magic' instead"):
        tiny(method="magic").fit(*table)
