"""Training in the span of the samples: the same hypergradient, for students that can have it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from sklearn_dd import LeNet
from sklearn_dd._engine import (
    Adam,
    Momentum,
    StudentFn,
    Traced,
    Unrolled,
    first_layer,
    inner_loop,
    inner_steps,
    naive_hypergradient,
    pure,
    train,
    train_students,
)
from sklearn_dd._engine.fast.span import Span, SpanDescent
from sklearn_dd._engine.fast.tracing import TRACE_AFTER

from ..problems import Problem, assert_same, seeded

SHAPE = (8, 20)  # 160 values, and 8 samples


class Residual(nn.Module):
    """Begins with a linear layer, but another layer sees the samples too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other = nn.Linear(160, 6), nn.Linear(160, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        x = x.flatten(1)
        return self.last(self.first(x).tanh() + self.other(x))


class TiedTwice(nn.Module):
    """The first layer serves twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(160, 160), nn.Linear(160, 3)

    def forward(self, x):
        return self.last(self.first(self.first(x.flatten(1)).tanh()))


def shallow() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(160, 9), nn.Tanh(), nn.Linear(9, 3))


def deep() -> nn.Module:
    layers = nn.Linear(160, 9), nn.Tanh(), nn.LayerNorm(9), nn.Linear(9, 5), nn.Tanh()
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(5, 3))


def without_bias() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(160, 9, bias=False), nn.ReLU(), nn.Linear(9, 3, bias=False)
    )


BUILDS = [shallow, deep, without_bias]
each_build = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)


def in_span(problem: Problem) -> StudentFn:
    """The problem's student, with its first layer."""
    first = first_layer(problem.module, problem.student, problem.real[0])
    assert first is not None
    return dataclasses.replace(problem.student, first=first)


@pytest.fixture(params=BUILDS, ids=lambda build: build.__name__)
def problem(request):
    return Problem(seeded(request.param), SHAPE)


@pytest.fixture
def steps(monkeypatch):
    """The steps that are recorded in the span, so that no test passes without one."""
    taken = []

    def record(self, loss, carry, step):
        taken.append(step)
        return original(self, loss, carry, step)

    original = SpanDescent.record
    monkeypatch.setattr(SpanDescent, "record", record)
    return taken


def test_the_hypergradient_is_the_same(problem, steps):
    found = Unrolled()(problem.outer(student=in_span(problem)))
    assert len(steps) >= problem.lrs.numel()
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


@pytest.mark.parametrize("method", [Unrolled(window=4), Unrolled(segment=2), Unrolled(memory=0),
                                    Unrolled(micro_batch=3)])  # fmt: skip
def test_so_it_is_in_windows_segments_and_micro_batches(problem, method, steps):
    found = method(problem.outer(student=in_span(problem)))
    assert len(steps) >= 4
    assert_same(found, method(problem.outer()), 1e-10)


def test_so_it_is_for_several_students_that_go_one_by_one(steps):
    problem = Problem(seeded(shallow), SHAPE, n_inits=3)
    found = Unrolled()(problem.outer(student=in_span(problem), stackable=False))
    assert len(steps) >= 3 * problem.lrs.numel()
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


def test_so_it_is_by_traced_steps(problem):
    student = in_span(problem)
    traced = Traced(student.first.in_span.optimizer)
    inner = dataclasses.replace(student.first.in_span, accelerated=traced)
    outer = problem.outer(first=student.first._replace(in_span=inner))
    for _ in range(TRACE_AFTER // problem.lrs.numel() + 1):
        found = Unrolled()(outer)
    assert traced.n_traced, traced.refusals
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


def test_equal_samples_are_no_problem(steps):
    """The samples then span fewer dimensions than there are samples."""
    problem = Problem(seeded(shallow), SHAPE)
    problem.x[:] = problem.x[0, 0]
    found = Unrolled()(problem.outer(student=in_span(problem)))
    assert steps
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


@pytest.mark.parametrize(
    "changes",
    [{"n_epochs": 1}, {"batch": 5}, {"n_inits": 2}],
    ids=["each sample once", "more samples than units", "stacked students"],
)
def test_where_it_does_not_pay_students_train_on_the_samples(changes, steps):
    problem = Problem(seeded(shallow), SHAPE, **changes)
    Unrolled()(problem.outer(student=in_span(problem)))
    assert not steps


@each_build
@pytest.mark.parametrize("n_inits", [1, 3])
def test_students_end_with_the_same_parameters(build, n_inits, monkeypatch):
    """One, or several that are stacked: they still go one by one through the span."""
    problem = Problem(seeded(build), SHAPE, n_inits=n_inits)
    student, taken = in_span(problem), []
    monkeypatch.setattr(inner_loop, "Span", lambda *args: taken.append(Span(*args)) or taken[-1])
    (group,) = student.groups(problem.params)
    schedule = problem.x, problem.y, problem.lrs
    found = train_students(student, group, *schedule)
    (expected,) = train(problem.student, (group,), inner_steps(*schedule))
    assert len(taken) == n_inits
    assert found.keys() == expected.keys()
    for name, p in found.items():
        torch.testing.assert_close(p, expected[name], rtol=0, atol=1e-12)


def test_half_precision_stays_out_of_the_span(steps):
    """It would round products of samples, which are sums over all their values."""
    problem = Problem(seeded(shallow), SHAPE, dtype=torch.float32)
    Unrolled(outer_dtype=torch.bfloat16)(problem.outer(student=in_span(problem)))
    assert not steps


def test_many_samples_of_few_values_are_trained_on_as_they_are(steps):
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))

    problem = Problem(seeded(build), (5,))
    Unrolled()(problem.outer(student=in_span(problem)))
    assert not steps


class Gated(nn.Module):
    """The samples come in twice, which weights of 0 hide at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(160, 160), nn.Linear(160, 3)
        nn.init.zeros_(self.last.weight)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)).tanh() + x.flatten(1))


class OfImages(nn.Module):
    """Insists on the shape of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(160, 9), nn.Linear(9, 3)

    def forward(self, x):
        assert x.shape[1:] == SHAPE
        return self.last(self.first(x.flatten(1)).relu())


class ByKeyword(OfImages):
    """Calls its layer in another way."""

    def forward(self, x):
        return self.last(self.first(input=x.flatten(1)).relu())


class Clipped(OfImages):
    """Leaves usual values as they are."""

    def forward(self, x):
        return self.last(self.first(x.flatten(1).clamp(-10, 10)).relu())


class Frozen(OfImages):
    """Does not train its first layer."""

    def forward(self, x):
        return self.last(self.first(x.flatten(1)).detach().relu())


def twice_named() -> nn.Module:
    layer = nn.Linear(160, 160)
    return nn.Sequential(nn.Flatten(), layer, nn.LayerNorm(160), layer, nn.Linear(160, 3))


def hooked() -> nn.Module:
    module = shallow()
    module[1].register_forward_hook(lambda layer, args, output: 2 * output)
    return module


@pytest.mark.parametrize("build", [
    Residual, TiedTwice, Gated, OfImages, ByKeyword, Clipped, Frozen, twice_named, hooked,
    lambda: nn.Sequential(nn.Flatten(), nn.Linear(160, 3)),
    lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(160, 9), nn.Linear(9, 3)),
])  # fmt: skip
def test_a_student_without_such_a_layer_has_none(build):
    module = seeded(build)
    assert first_layer(module, StudentFn(pure(module)), torch.randn(3, *SHAPE)) is None


def test_a_convolution_comes_first_in_a_lenet():
    module = LeNet((1, 28, 28), 10)
    assert first_layer(module, StudentFn(pure(module)), torch.randn(2, 1, 28, 28)) is None


@pytest.mark.parametrize("optimizer", [Momentum(), Adam()])
def test_other_optimisers_train_on_the_samples(optimizer):
    module = seeded(shallow)
    student = StudentFn(pure(module), optimizer)
    assert first_layer(module, student, torch.randn(3, *SHAPE)) is None
