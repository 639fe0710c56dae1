"""Methods say what they can do; functions and wrappers pass it on."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd._engine import (
    Augmented,
    Clipped,
    CudaGraph,
    DistributionMatching,
    FunctionMethod,
    GradientMatching,
    Hypergradient,
    Method,
    OrdinaryLoops,
    Ridge,
    TargetKind,
    Unrolled,
    as_method,
    classification,
)
from sklearn_dd._engine.hypergradients.ridge import squared_error

from ..problems import assert_equal, mlp

CAPABILITIES = "learns_step_sizes", "needs_features", "targets", "default_objective"
ALL = frozenset(TargetKind)
CLASSES = frozenset({TargetKind.MULTICLASS})
CLASSES_OR_NUMBERS = frozenset({TargetKind.MULTICLASS, TargetKind.CONTINUOUS})


def capabilities(method):
    return tuple(getattr(method, name) for name in CAPABILITIES)


class Particular(Method):
    """A method with capabilities of its own, which counts its calls."""

    learns_step_sizes = False
    needs_features = True
    targets = CLASSES
    default_objective = staticmethod(classification)
    calls = 0

    def __call__(self, problem):
        self.calls += 1
        return problem.zeros()

    def state_dict(self):
        return {"calls": torch.tensor(self.calls)}

    def load_state_dict(self, state):
        self.calls = int(state["calls"])


def function(problem):
    return Unrolled()(problem)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method(), (True, False, ALL, None)),
        (Unrolled(window=2), (True, False, ALL, None)),
        (CudaGraph(), (True, False, ALL, None)),
        (Ridge(), (False, True, CLASSES_OR_NUMBERS, squared_error)),
        (DistributionMatching(), (False, True, CLASSES, None)),
        (GradientMatching(), (False, False, CLASSES, None)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Method) else "",
)
def test_each_method_says_what_it_can_do(method, expected):
    assert capabilities(method) == expected


@pytest.mark.parametrize(
    "inner",
    [Ridge(), Unrolled(), GradientMatching(), Particular()],
    ids=lambda method: type(method).__name__,
)
@pytest.mark.parametrize(
    "wrap",
    [
        Clipped,
        lambda inner: Augmented(inner, lambda x, _: x),
        OrdinaryLoops,
        lambda inner: Clipped(Clipped(inner)),
    ],
    ids=["clipped", "augmented", "loops", "twice"],
)
def test_a_wrapper_can_do_what_its_method_can(wrap, inner):
    assert capabilities(wrap(inner)) == capabilities(inner)


def test_a_wrapper_around_a_function_takes_it_as_a_method():
    outer = mlp().outer()
    clipped = Clipped(function)
    assert isinstance(clipped.method, FunctionMethod)
    assert capabilities(clipped) == capabilities(Method())
    assert_equal(clipped(outer), Unrolled()(outer))


def test_a_wrapper_carries_what_its_method_carries():
    outer = mlp().outer()
    first, second = (Augmented(Particular(), lambda x, _: x) for _ in range(2))
    first(outer), first(outer)
    second.load_state_dict(first.state_dict())
    assert second.method.calls == 2


def test_a_function_is_a_method_with_the_defaults():
    outer = mlp().outer()
    method = as_method(function)
    assert isinstance(method, Method)
    assert capabilities(method) == capabilities(Method())
    assert_equal(method(outer), Unrolled()(outer))
    assert method.state_dict() == {}
    method.load_state_dict({})


def test_a_callable_that_says_what_it_can_do_is_believed():
    class Plain:
        """Not a `Method`, but with the same attributes."""

        learns_step_sizes = False
        targets = CLASSES
        calls = 0

        def __call__(self, problem):
            self.calls += 1
            return problem.zeros()

        def state_dict(self):
            return {"calls": torch.tensor(self.calls)}

        def load_state_dict(self, state):
            self.calls = int(state["calls"])

    first, second = as_method(Plain()), as_method(Plain())
    assert capabilities(first) == (False, False, CLASSES, None)
    first(mlp().outer())
    second.load_state_dict(first.state_dict())
    assert second.function.calls == 1


def test_a_method_is_taken_as_it_is():
    method = Unrolled(window=3)
    assert as_method(method) is method


def test_capabilities_of_an_object_go_before_those_of_its_class():
    method = Unrolled()
    method.learns_step_sizes = False
    assert not Clipped(method).learns_step_sizes
    assert Unrolled().learns_step_sizes


def test_no_gradient_is_zeros_of_the_right_shapes():
    problem = mlp()
    found = problem.outer().zeros()
    assert isinstance(found, Hypergradient)
    assert [part.shape for part in found] == [
        torch.Size(()),
        problem.x.shape,
        problem.y.shape,
        problem.lrs.shape,
    ]
    assert not any(part.any() for part in found)
    assert all(part.dtype == torch.float64 for part in found)


def test_the_base_computes_nothing():
    with pytest.raises(NotImplementedError):
        Method()(mlp().outer())


def test_a_class_says_what_it_can_do_in_plain_words():
    def objective(outputs, y):
        return outputs.sum()

    class Own(Method):
        default_objective = objective
        targets = TargetKind.CONTINUOUS

    assert Own().default_objective is objective
    assert Own().targets == {TargetKind.CONTINUOUS}


@pytest.mark.parametrize("method", ["unrolled", None, Ridge])
def test_what_is_no_method_cannot_be_wrapped(method):
    with pytest.raises(TypeError, match="A method must be an object"):
        Clipped(method)


@pytest.mark.parametrize("make", [lambda: Unrolled(window=1.5), lambda: Ridge(pool_size=0)])
def test_parameters_of_methods_are_checked(make):
    with pytest.raises(ValueError, match=r"(window|pool_size) must be"):
        make()
