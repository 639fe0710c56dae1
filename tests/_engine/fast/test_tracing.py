"""A traced step is autograd's, to the bit: the same operations in the same order."""

from __future__ import annotations

import dataclasses
import operator
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from sklearn_dd._engine import (
    SGD,
    Momentum,
    Optimizer,
    StudentFn,
    Traced,
    Unrolled,
    cross_entropy,
    mean_squared_error,
    pure,
    train,
)
from sklearn_dd._engine.carry import flat
from sklearn_dd._engine.fast import tracing
from sklearn_dd._engine.fast.tracing import ForwardStep, ReversibleStep, accept
from sklearn_dd._student.function import Acceleration, acceleration, student_fn
from sklearn_dd._student.spec import StudentSpec
from sklearn_dd.students import MLP, ConvNet, LeNet

from ..problems import Problem, WithSpare, assert_equal, mlp

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """Trace the third step of its shapes."""
    monkeypatch.setattr(tracing, "TRACE_AFTER", 3)


def accelerated(problem: Problem, optimizer: Optimizer | None = None) -> StudentFn:
    """The problem's student, traced."""
    optimizer = optimizer or problem.student.optimizer
    return dataclasses.replace(
        problem.student, optimizer=optimizer, accelerated=Traced(optimizer)
    )  # fmt: skip


def unaccelerated(student: StudentFn) -> StudentFn:
    return dataclasses.replace(student, accelerated=None)


def assert_traced(problem: Problem, student: StudentFn) -> None:
    """A call that begins with autograd and one by programs alone equal autograd to the bit."""
    traced, n_steps = student.accelerated, problem.lrs.numel()
    expected = Unrolled()(problem.outer(student=unaccelerated(student)))
    for n_traced in (n_steps - 2, 2 * n_steps - 2):
        assert_equal(Unrolled()(problem.outer(student=student)), expected)
        assert (traced.n_traced, traced.n_autograd) == (n_traced, 2)
    assert traced.refusals == []


def test_it_is_autograd_to_the_bit(problem, optimizer):
    assert_traced(problem, accelerated(problem, optimizer))


@pytest.mark.parametrize(
    ("module", "shape"), [(MLP, (5,)), (LeNet, (1, 28, 28)), (ConvNet, (3, 32, 32))]
)
def test_this_packages_students_are_traced(module, shape):
    """With the pooling and the kernels that they have on a CPU."""
    problem = Problem(module(shape, 3), shape, n_epochs=4, n_steps=1, dtype=torch.float32)
    spec = StudentSpec(module, {"sample_shape": shape, "n_classes": 3}, shape)
    student = student_fn(spec, CPU, cross_entropy, Acceleration())
    assert_traced(problem, student)
    counts = {"traced_steps": 6, "autograd_steps": 2, "refusals": []}
    assert acceleration([student]) == counts


def test_tracing_can_be_turned_off():
    spec = StudentSpec(MLP, {"sample_shape": (5,), "n_classes": 3}, (5,))
    student = student_fn(spec, CPU, cross_entropy, Acceleration(tracing=False))
    assert student.accelerated is None
    assert acceleration([student])["refusals"] == ["acceleration is off"]


@pytest.mark.parametrize(
    "method", [Unrolled(segment=2), Unrolled(memory=1), Unrolled(window=2)], ids=repr
)
def test_segments_and_windows_are_traced(method):
    problem = mlp()
    student = accelerated(problem)
    expected = method(problem.outer())
    for _ in range(3):
        found = method(problem.outer(student=student))
        for part, other in zip(found, expected, strict=True):
            torch.testing.assert_close(part, other, rtol=1e-12, atol=1e-15)
    assert student.accelerated.n_traced > student.accelerated.n_autograd
    assert not student.accelerated.refusals


def test_other_shapes_have_programs_of_their_own():
    problem = mlp()
    student = accelerated(problem)
    few = {"x": problem.x[:, :2], "y": problem.y[:, :2]}
    for given in [{}, few] * 3:
        expected = Unrolled()(problem.outer(**given))
        assert_equal(Unrolled()(problem.outer(student=student, **given)), expected)
    traced = student.accelerated
    assert traced.n_autograd == 2 * 2
    assert traced.n_traced == 6 * problem.lrs.numel() - 2 * 2


class InPlace(nn.Sequential):
    """Changes its own tensors, once where autograd has saved another view of them."""

    def forward(self, x):
        h = self[0](x)
        h = h.sigmoid() + h.clone().relu_()
        h[:, ::2].mul_(1.5)
        return self[1](nn.functional.elu(h, inplace=True))


class Picks(nn.Linear):
    """Takes columns by an index; a default of its loss is another one in torch's own function."""

    def forward(self, x):
        h = super().forward(x)[:, [2, 0, 1]]
        return h + nn.functional.binary_cross_entropy_with_logits(h, h.detach().sigmoid())


class Checked(nn.Sequential):
    """Its second layer's values serve nothing but a check."""

    def forward(self, x):
        torch._assert_async(self[1](x).sum().isfinite(), "not finite")
        return self[0](x)


def in_place() -> nn.Module:
    return InPlace(nn.Linear(5, 6), nn.Linear(6, 3))


def picks() -> nn.Module:
    return Picks(5, 3)


def checked() -> nn.Module:
    return Checked(nn.Linear(5, 3), nn.Linear(5, 2))


@pytest.mark.parametrize("build", [in_place, picks, checked])
def test_students_of_unusual_operations_are_traced(build):
    problem = Problem(build(), (5,))
    assert_traced(problem, accelerated(problem))


def test_unused_parameters_and_constants_are_traced(optimizer):
    problem = Problem(WithSpare(), (5,))
    assert_traced(problem, accelerated(problem, optimizer))


def recorded(student: StudentFn, problem: Problem):
    """A step of a single student, and its programs."""
    (init, *_) = problem.each_init()
    carry, step = student.optimizer.start(init), (problem.x[0], problem.y[0], problem.lrs[0, 0])
    return carry, step, accept(ReversibleStep, student.optimizer, student.inner_loss, carry, step)


def test_checks_go_on():
    problem = Problem(checked(), (5,))
    carry, (x, y, lr), programs = recorded(problem.student, problem)
    programs.run(carry, (x, y, lr))
    with pytest.raises(RuntimeError, match="not finite"):
        programs.run(carry, (x / 0, y, lr))


def test_programs_do_nothing_in_vain():
    """Fast convolutions compute images' gradients in a first step too, where no one takes them."""
    shape = (1, 28, 28)
    spec = StudentSpec(LeNet, {"sample_shape": shape, "n_classes": 3}, shape)
    problem = Problem(spec(), shape, dtype=torch.float32)
    _, _, programs = recorded(student_fn(spec, CPU, cross_entropy, Acceleration()), problem)
    for program in (programs.forward, programs.backward):
        made = [node for node in program.__self__.graph.nodes if node.op == "call_function"]
        assert made
        assert all(node.users for node in made if node.target is not operator.getitem)


@pytest.mark.parametrize(
    ("module", "shape", "n_inits"),
    [(MLP, (5,), 3), (LeNet, (1, 28, 28), 1), (ConvNet, (3, 8, 8), 1)],
)
def test_steps_without_a_graph_are_autograd_too(module, shape, n_inits, optimizer):
    """A fit that was resumed takes steps by autograd where one that was not has programs."""
    spec = StudentSpec(module, {"sample_shape": shape, "n_classes": 3}, shape, optimizer)
    student = student_fn(spec, CPU, cross_entropy, Acceleration())
    inits = [dict(module(shape, 3).named_parameters()) for _ in range(n_inits)]
    stacked = {name: torch.stack([init[name].detach() for init in inits]) for name in inits[0]}
    (start,) = map(optimizer.start, student.groups(stacked))
    steps = [(torch.randn(4, *shape), torch.randn(4, 3).softmax(1), torch.tensor(0.01))] * 4
    train(student, start, steps)
    student.accelerated.optimizer = None  # whose steps are not needed any more
    found = train(student, start, steps)
    assert student.accelerated.n_traced == 2 + len(steps)
    assert_equal(flat(found), flat(train(unaccelerated(student), start, steps)))


# What is refused, and how that is known


class Decides(nn.Linear):
    """Its work depends on values."""

    def forward(self, x):
        out = super().forward(x)
        return out.tanh() if out.sum() > 0 else out


class Masks(nn.Linear):
    """The sizes of its tensors depend on values."""

    def forward(self, x):
        out = super().forward(x)
        return out + out[out > 0].mean()


class Counts(nn.Linear):
    """It asks for values by way of Python."""

    def forward(self, x):
        out = super().forward(x)
        return out * len([v for row in out.detach().tolist() for v in row if v > 0])


def assert_right_in_two_places(problem: Problem, student: StudentFn) -> None:
    """Where values have one sign, and where they have the other."""
    for sign in (1, 1, -1, -1):
        mirrored = {name: sign * p for name, p in problem.params.items()}
        given = {"x": sign * problem.x, "params": mirrored}
        expected = Unrolled()(problem.outer(**given))
        assert_equal(Unrolled()(problem.outer(student=student, **given)), expected)


@pytest.mark.parametrize("module", [Decides, Counts])
def test_a_student_whose_operations_depend_on_values_is_refused(module):
    problem = Problem(module(5, 3), (5,))
    student = accelerated(problem)
    assert_right_in_two_places(problem, student)
    assert_refused(student, 4 * problem.lrs.numel(), "ReversibleStep: it cannot be traced: ")


def test_a_student_whose_sizes_depend_on_values_is_right():
    """By autograd, or by a program whose sizes do as well."""
    problem = Problem(Masks(5, 3), (5,))
    student = accelerated(problem)
    assert_right_in_two_places(problem, student)
    traced = student.accelerated
    assert bool(traced.n_traced) != bool(traced.refusals)


def assert_refused(student: StudentFn, n_steps: int, reason: str) -> None:
    """All steps were autograd's, and one sentence says why."""
    traced = student.accelerated
    assert (traced.n_traced, traced.n_autograd) == (0, n_steps)
    (refusal,) = traced.refusals
    assert refusal.startswith(reason)
    assert len(refusal.splitlines()) == 1
    assert acceleration([student]) == {
        "traced_steps": 0,
        "autograd_steps": n_steps,
        "refusals": [refusal],
    }


class DrawsByTorch(nn.Linear):
    """Its work is another one each time."""

    def forward(self, x):
        return super().forward(x) * (1 + torch.rand(()))


class DrawsByPython(nn.Linear):
    """The same."""

    def forward(self, x):
        return super().forward(x) * (1 + random.random())


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (DrawsByTorch, "ReversibleStep: it draws random numbers"),
        (DrawsByPython, "ReversibleStep: its results differ from autograd's"),
    ],
)
def test_a_student_that_draws_is_refused(module, reason):
    problem = Problem(module(5, 3), (5,))
    student = accelerated(problem)
    losses = [float(Unrolled()(problem.outer(student=student)).loss) for _ in range(3)]
    assert len(set(losses)) == 3
    assert_refused(student, 3 * problem.lrs.numel(), reason)


@pytest.mark.parametrize("module", [Decides, DrawsByTorch])
def test_steps_without_a_graph_are_refused_too(module):
    problem = Problem(module(5, 3), (5,))
    student = accelerated(problem)
    steps = [(problem.x[0], problem.y[0], problem.lrs[0, 0])] * 5
    (init,) = problem.each_init()
    train(student, student.optimizer.start(init), steps)
    assert_refused(student, len(steps), "ForwardStep: it ")


class Recurrent(nn.Module):
    """In float32 it can be traced, but not be run again."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.lstm(x[..., None])[0][:, -1])


def test_a_student_that_cannot_be_repeated_is_refused():
    problem = Problem(Recurrent(), (5,), dtype=torch.float32)
    student = accelerated(problem)
    expected = Unrolled()(problem.outer())
    for _ in range(2):
        assert_equal(Unrolled()(problem.outer(student=student)), expected)
    assert_refused(student, 2 * problem.lrs.numel(), "ReversibleStep: ")


def test_without_a_tracer_steps_are_autograds_and_it_says_so(monkeypatch):
    """As in a release of torch that lacks what tracing needs."""

    def fail(function, *inputs):
        raise RuntimeError("this torch has no make_fx")

    monkeypatch.setattr(tracing, "fake_graph", fail)
    problem = mlp()
    student = accelerated(problem)
    assert_equal(Unrolled()(problem.outer(student=student)), Unrolled()(problem.outer()))
    reason = "ReversibleStep: it cannot be traced: RuntimeError: this torch has no make_fx"
    assert_refused(student, problem.lrs.numel(), reason)


def test_a_program_that_agrees_in_one_place_alone_is_refused(monkeypatch):
    """The other place is that of mirrored parameters and samples."""
    places = []

    def agrees_with(program, optimizer, loss, carry, step):
        places.append((carry[0]["0.weight"], step[0]))
        return len(places) % 2 == 1

    monkeypatch.setattr(ReversibleStep, "agrees_with", agrees_with)
    problem = mlp()
    student = accelerated(problem)
    assert_equal(Unrolled()(problem.outer(student=student)), Unrolled()(problem.outer()))
    here, mirrored, *_ = places
    assert len(places) == 2 * 2  # of programs of torch's own functions, and of its operations
    assert_equal(mirrored, [-part for part in here])
    reason = "ReversibleStep: its results differ from autograd's"
    assert_refused(student, problem.lrs.numel(), reason)


@pytest.mark.parametrize("kind", [ForwardStep, ReversibleStep])
def test_agreement_is_to_the_bit(kind):
    problem = mlp()
    (init,) = problem.each_init()
    optimizer, loss = SGD(), problem.student.inner_loss
    step = problem.x[0], problem.y[0], problem.lrs[0, 0]
    found = accept(kind, optimizer, loss, optimizer.start(init), step)

    def agrees(loss):
        copy = {name: p.clone() for name, p in init.items()}
        return found.agrees_with(optimizer, loss, optimizer.start(copy), step)

    assert agrees(loss)
    assert not agrees(lambda params, x, y: (1 + 1e-15) * loss(params, x, y))


# When it traces


def test_few_steps_are_not_traced(monkeypatch):
    monkeypatch.setattr(tracing, "TRACE_AFTER", 7)
    problem = mlp()
    student = accelerated(problem)
    Unrolled()(problem.outer(student=student))
    traced = student.accelerated
    assert (traced.n_traced, traced.n_autograd) == (0, problem.lrs.numel())
    assert not traced.refusals


def test_another_loss_has_programs_of_its_own():
    problem = mlp()
    first = accelerated(problem)
    second = dataclasses.replace(first, loss=mean_squared_error)
    for student in (first, second, first):
        expected = Unrolled()(problem.outer(student=unaccelerated(student)))
        for _ in range(2):
            assert_equal(Unrolled()(problem.outer(student=student)), expected)
    assert first.accelerated.n_autograd == 3 * 2


def test_samples_in_another_order_of_memory_are_right():
    problem = Problem(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), (2, 3))
    student = accelerated(problem)
    for x in (problem.x, problem.x.transpose(2, 3).contiguous().transpose(2, 3)) * 2:
        expected = Unrolled()(problem.outer(x=x))
        assert_equal(Unrolled()(problem.outer(x=x, student=student)), expected)
    assert student.accelerated.n_autograd == 2 * 2


def test_threads_other_than_the_main_one_do_not_trace():
    problem = mlp()
    student = accelerated(problem)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(Unrolled(), problem.outer(student=student)).result()
    assert_equal(found, Unrolled()(problem.outer()))
    traced = student.accelerated
    assert (traced.n_traced, traced.n_autograd) == (0, problem.lrs.numel())


def test_tracing_draws_nothing():
    problem = mlp()
    before = torch.get_rng_state()
    assert_traced(problem, accelerated(problem))
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_given_is_changed():
    problem = mlp()
    student = accelerated(problem, Momentum(0.5))
    before = [t.clone() for t in problem.inputs()]
    for _ in range(3):
        found = Unrolled()(problem.outer(student=student))
    assert student.accelerated.n_traced
    assert not any(part.requires_grad for part in found)
    assert_equal(problem.inputs(), before)


def test_a_student_that_says_nothing_stays_with_autograd():
    assert StudentFn(pure(nn.Linear(2, 2))).accelerated is None
