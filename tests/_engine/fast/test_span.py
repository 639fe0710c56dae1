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
    naive_hypergradient,
    pure,
)
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
    return nn.Sequential(nn.Flatten(), nn.Linear(160, 7), nn.Tanh(), nn.Linear(7, 3))


def deep() -> nn.Module:
    layers = nn.Linear(160, 7), nn.Tanh(), nn.LayerNorm(7), nn.Linear(7, 5), nn.Tanh()
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(5, 3))


def without_bias() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(160, 7, bias=False), nn.ReLU(), nn.Linear(7, 3, bias=False)
    )


BUILDS = [shallow, deep, without_bias]


def in_span(problem: Problem) -> StudentFn:
    """The problem's student, with its first layer."""
    first = first_layer(problem.module, problem.student, problem.real[0])
    assert first is not None
    return dataclasses.replace(problem.student, first=first)


@pytest.fixture(params=BUILDS, ids=lambda build: build.__name__)
def problem(request):
    return Problem(seeded(request.param), SHAPE)


def steps_in_span(student: StudentFn) -> list[int]:
    """Count the steps in the span, so that no test passes without one."""
    count = [0]
    optimizer = student.first.in_span.optimizer

    class Counted(type(optimizer)):
        def record(self, loss, carry, step):
            count[0] += 1
            return super().record(loss, carry, step)

    object.__setattr__(student.first.in_span, "optimizer", Counted())
    return count


def test_the_hypergradient_is_the_same(problem):
    student = in_span(problem)
    count = steps_in_span(student)
    found = Unrolled(memory=1 << 30)(problem.outer(student=student))
    assert count[0] >= problem.lrs.numel()
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


@pytest.mark.parametrize("method", [Unrolled(window=2), Unrolled(segment=2), Unrolled(memory=0),
                                    Unrolled(micro_batch=3)])  # fmt: skip
def test_so_it_is_in_windows_segments_and_micro_batches(problem, method):
    found = method(problem.outer(student=in_span(problem)))
    assert_same(found, method(problem.outer()), 1e-10)


def test_so_it_is_for_several_students_that_go_one_by_one():
    problem = Problem(seeded(shallow), SHAPE, n_inits=3)
    found = Unrolled()(problem.outer(student=in_span(problem), stackable=False))
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


def test_equal_samples_are_no_problem():
    """The samples then span fewer dimensions than there are samples."""
    problem = Problem(seeded(shallow), SHAPE)
    problem.x[:] = problem.x[0, 0]
    found = Unrolled()(problem.outer(student=in_span(problem)))
    assert_same(found, naive_hypergradient(problem.outer()), 1e-10)


def test_many_samples_of_few_values_are_trained_on_as_they_are():
    problem = Problem(
        seeded(lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))), (5,)
    )
    student = in_span(problem)
    count = steps_in_span(student)
    Unrolled()(problem.outer(student=student))
    assert not count[0]


@pytest.mark.parametrize("build", [
    Residual, TiedTwice, lambda: nn.Sequential(nn.Flatten(), nn.Linear(160, 3)),
    lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(160, 7), nn.Linear(7, 3)),
])  # fmt: skip
def test_a_student_without_such_a_layer_has_none(build):
    module = seeded(build)
    assert first_layer(module, StudentFn(pure(module)), torch.randn(3, 160)) is None


def test_a_convolution_comes_first_in_a_lenet():
    module = LeNet((1, 28, 28), 10)
    assert first_layer(module, StudentFn(pure(module)), torch.randn(2, 1, 28, 28)) is None


@pytest.mark.parametrize("optimizer", [Momentum(), Adam()])
def test_other_optimisers_train_on_the_samples(optimizer):
    module = seeded(shallow)
    student = StudentFn(pure(module), optimizer)
    assert first_layer(module, student, torch.randn(3, *SHAPE)) is None
