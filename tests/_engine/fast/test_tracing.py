"""A traced step is autograd's, to the bit: the same operations in the same order."""

import dataclasses
import operator
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from sklearn_dd.engine import traced
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.inner_loop import (
    Learner,
    mean_squared_error,
    pure,
    train,
)
from sklearn_dd.engine.optimizers import SGD, Adam, Momentum, flat
from sklearn_dd.engine.traced import Traced
from sklearn_dd.modules import MLP, ConvNet, LeNet
from sklearn_dd.student import Network, learner

from .problems import PROBLEMS, Problem

OPTIMIZERS = [SGD(), Momentum(0.7), Adam((0.8, 0.95), eps=1e-3)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Trace the third step of its shapes."""
    monkeypatch.setattr(traced, "TRACE_AFTER", 3)


def trainer(p):
    return dataclasses.replace(p.learner, optimizer=Traced(p.learner.optimizer))


def assert_same(p):
    """An estimate that begins with autograd and one by programs alone are autograd's."""
    ours, estimator = trainer(p), Unrolled()
    wanted = estimator(p.task())
    for _ in range(2):
        found = estimator(p.task(learner=ours))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    return [programs is not None for programs in ours.optimizer._programs.values()]


@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_is_autograds_to_the_bit(make, optimizer):
    torch.manual_seed(0)
    p = make()
    p.learner = dataclasses.replace(p.learner, optimizer=optimizer)
    assert assert_same(p) == [True]


@pytest.mark.parametrize(
    ("module", "shape"), [(MLP, (5,)), (LeNet, (1, 28, 28)), (ConvNet, (3, 32, 32))]
)
def test_students_are_traced(module, shape):
    """With the pooling and the kernels that they have on a CPU."""
    torch.manual_seed(0)
    p = Problem(module(shape, 3), shape, n_epochs=4, n_steps=1, dtype=torch.float32)
    network = Network(module, {"sample_shape": shape, "n_classes": 3}, shape)
    p.learner = learner(network, torch.device("cpu"))
    assert isinstance(p.learner.optimizer, Traced)
    p.learner = dataclasses.replace(p.learner, optimizer=SGD())
    assert assert_same(p) == [True]


def test_segments_and_windows_are_traced():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    ours = trainer(p)
    for estimator in (Unrolled(segment=2), Unrolled(memory=1), Unrolled(window=2)):
        found = [estimator(p.task(learner=ours)) for _ in range(3)][-1]
        for a, b in zip(found, estimator(p.task()), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)


def test_other_shapes_have_programs_of_their_own():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    ours, estimator = trainer(p), Unrolled()
    for x, y in ((p.x, p.y), (p.x[:, :2], p.y[:, :2])) * 3:
        wanted = estimator(p.task(x=x, y=y))
        found = estimator(p.task(x=x, y=y, learner=ours))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert len(ours.optimizer._programs) == 2


class InPlace(nn.Sequential):
    """Changes its own tensors, once where autograd has saved another view of them."""

    def forward(self, x):
        h = self[0](x)
        h = h.sigmoid() + h.clone().relu_()
        h[:, ::2].mul_(1.5)
        return self[1](nn.functional.elu(h, inplace=True))


def test_changes_in_place_keep_their_order():
    torch.manual_seed(0)
    net = InPlace(nn.Linear(5, 6), nn.Linear(6, 3))
    assert assert_same(Problem(net, (5,))) == [True]


def test_programs_do_nothing_in_vain():
    """Our convolutions compute images' gradients in a first step too, where no one takes them."""
    torch.manual_seed(0)
    shape = (1, 28, 28)
    network = Network(LeNet, {"sample_shape": shape, "n_classes": 3}, shape)
    p = Problem(network(), shape, dtype=torch.float32)
    pupil = learner(network, torch.device("cpu"))
    carry = SGD().start({name: q[0] for name, q in p.params.items()})
    programs = traced.trace(SGD(), pupil.objective, carry, (p.x[0], p.y[0], p.lrs[0, 0]))
    for program in programs:
        made = [n for n in program.__self__.graph.nodes if n.op == "call_function"]
        assert all(n.users for n in made if n.target is not operator.getitem)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize(
    ("module", "shape", "n_nets"),
    [(MLP, (5,), 3), (LeNet, (1, 28, 28), 1), (ConvNet, (3, 8, 8), 1)],
)
def test_steps_without_a_graph_are_autograds_too(module, shape, n_nets, optimizer):
    """A fit that was resumed takes steps by autograd where one that was not has programs."""
    torch.manual_seed(0)
    pupil = learner(
        Network(module, {"sample_shape": shape, "n_classes": 3}, shape, optimizer),
        torch.device("cpu"),
    )
    nets = [dict(module(shape, 3).named_parameters()) for _ in range(n_nets)]
    stacked = {name: torch.stack([net[name].detach() for net in nets]) for name in nets[0]}
    (start,) = map(optimizer.start, pupil.groups(stacked))
    steps = [(torch.randn(4, *shape), torch.randn(4, 3).softmax(1), torch.tensor(0.01))] * 4
    train(pupil, start, steps)
    pupil.optimizer.optimizer = None  # whose steps are not needed any more
    found = train(pupil, start, steps)
    wanted = train(dataclasses.replace(pupil, optimizer=optimizer), start, steps)
    assert all(torch.equal(a, b) for a, b in zip(flat(found), flat(wanted), strict=True))


class Picks(nn.Linear):
    """Takes columns by an index; a default of its loss is another one in torch's own function."""

    def forward(self, x):
        h = super().forward(x)[:, [2, 0, 1]]
        return h + nn.functional.binary_cross_entropy_with_logits(h, h.detach().sigmoid())


def test_what_torchs_own_functions_refuse_is_traced():
    torch.manual_seed(0)
    assert assert_same(Problem(Picks(5, 3), (5,))) == [True]


class Checked(nn.Sequential):
    """Its second layer's values serve nothing but a check."""

    def forward(self, x):
        torch._assert_async(self[1](x).sum().isfinite(), "not finite")
        return self[0](x)


def test_checks_go_on():
    torch.manual_seed(0)
    p = Problem(Checked(nn.Linear(5, 3), nn.Linear(5, 2)), (5,))
    assert assert_same(p) == [True]
    carry = SGD().start({name: q[0] for name, q in p.params.items()})
    programs = traced.trace(SGD(), p.learner.objective, carry, (p.x[0], p.y[0], p.lrs[0, 0]))
    with pytest.raises(RuntimeError, match="not finite"):
        programs.record(carry, (p.x[0] / 0, p.y[0], p.lrs[0, 0]))


class WithSpare(nn.Linear):
    """Has a parameter that nothing depends on, and a constant."""

    def __init__(self):
        super().__init__(5, 3)
        self.spare = nn.Parameter(torch.ones(2))
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x):
        return super().forward(x).tanh() * self.scale


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_unused_parameters_and_constants(optimizer):
    torch.manual_seed(0)
    p = Problem(WithSpare(), (5,))
    p.learner = dataclasses.replace(p.learner, optimizer=optimizer)
    assert assert_same(p) == [True]


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


@pytest.mark.parametrize("module", [Decides, Masks, Counts])
def test_a_net_that_decides_by_values_is_right(module):
    """With autograd, or with a program that decides as well."""
    torch.manual_seed(0)
    p = Problem(module(5, 3), (5,))
    ours = trainer(p)
    for sign in (1, 1, -1, -1):
        task = {"x": sign * p.x, "nets": {name: sign * q for name, q in p.params.items()}}
        wanted, found = (Unrolled()(p.task(learner=by, **task)) for by in (p.learner, ours))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


class DrawsByTorch(nn.Linear):
    """Its work is another one each time."""

    def forward(self, x):
        return super().forward(x) * (1 + torch.rand(()))


class DrawsByPython(nn.Linear):
    """The same."""

    def forward(self, x):
        return super().forward(x) * (1 + random.random())


@pytest.mark.parametrize("module", [DrawsByTorch, DrawsByPython])
def test_a_net_that_draws_stays_with_autograd(module):
    torch.manual_seed(0)
    p = Problem(module(5, 3), (5,))
    ours = trainer(p)
    seen = [Unrolled()(p.task(learner=ours)).loss for _ in range(3)]
    assert list(ours.optimizer._programs.values()) == [None]
    assert len(set(map(float, seen))) == 3


class Recurrent(nn.Module):
    """In float32 it can be traced, but not be run again."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.lstm(x[..., None])[0][:, -1])


def test_a_net_that_cannot_be_repeated_stays_with_autograd():
    torch.manual_seed(0)
    assert_same(Problem(Recurrent(), (5,), dtype=torch.float32))


def test_another_learner_has_programs_of_its_own():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    first = trainer(p)
    second = dataclasses.replace(first, loss=mean_squared_error)
    for ours in (first, second, first):
        plain = dataclasses.replace(ours, optimizer=SGD())
        wanted = Unrolled()(p.task(learner=plain))
        for _ in range(2):
            found = Unrolled()(p.task(learner=ours))
            assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_samples_in_another_order_of_memory():
    torch.manual_seed(0)
    p = Problem(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), (2, 3))
    ours = trainer(p)
    for x in (p.x, p.x.transpose(2, 3).contiguous().transpose(2, 3)) * 2:
        found, wanted = (Unrolled()(p.task(x=x, learner=by)) for by in (ours, p.learner))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_threads_other_than_the_main_one_do_not_trace():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    ours = trainer(p)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Unrolled(), p.task(learner=ours)).result()
    assert not ours.optimizer._programs


def test_tracing_draws_nothing():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    before = torch.get_rng_state()
    assert assert_same(p) == [True]
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_given_is_changed():
    torch.manual_seed(0)
    p = PROBLEMS[0]()
    p.learner = dataclasses.replace(p.learner, optimizer=Traced(Momentum(0.5)))
    given = [*p.params.values(), p.x, p.y, p.lrs]
    before = [t.clone() for t in given]
    for _ in range(3):
        found = Unrolled()(p.task())
    assert not any(t.requires_grad for t in found)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_a_learner_that_says_nothing_stays_with_autograd():
    assert not isinstance(Learner(pure(nn.Linear(2, 2))).optimizer, Traced)
