"""Pooling by whole rows is torch's: values, gradients, their gradients, and every option."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from sklearn_dd._engine import POOLING, cross_entropy, pure, with_kernels
from sklearn_dd._engine.fast import pooling
from sklearn_dd._student.function import Acceleration, student_fn
from sklearn_dd._student.spec import StudentSpec
from sklearn_dd.students import ConvNet, LeNet

FAST = {F.max_pool2d: pooling.max_pool2d, F.avg_pool2d: pooling.avg_pool2d}
KERNELS = {F.max_pool2d: pooling._Max, F.avg_pool2d: pooling._Mean}
pytestmark = pytest.mark.parametrize("torchs", FAST, ids=["max", "avg"])


def images(*shape, levels=None):
    torch.manual_seed(0)
    if levels is None:
        return torch.randn(shape, dtype=torch.float64)
    return torch.randint(levels, shape).double()


@pytest.fixture
def called(monkeypatch, torchs):
    """The calls that went through a fast kernel."""
    calls = []
    kernel = KERNELS[torchs]
    apply = kernel.apply
    monkeypatch.setattr(kernel, "apply", lambda x: calls.append(x) or apply(x))
    return calls


@pytest.mark.parametrize(
    "x",
    [
        images(20, 6, 28, 28),
        images(20, 6, 28, 28, levels=2),  # many pixels of a tile are equal
        images(90, 3, 6, 46).float(),
        images(64, 64, 64),
        -images(20, 6, 28, 28).abs(),
    ],
    ids=["images", "ties", "oblong", "no batch", "negative"],
)
def test_values_and_gradients(torchs, called, x):
    cotangent = torch.randn_like(torchs(x, 2))
    results = []
    for pool in (torchs, FAST[torchs]):
        leaf, weight = (t.clone().requires_grad_() for t in (x, cotangent))
        y = pool(leaf, 2)
        (gradient,) = torch.autograd.grad(y, leaf, weight, create_graph=True)
        (second,) = torch.autograd.grad(gradient, weight, torch.cos(x))
        results.append((y, gradient, second))
    assert len(called) >= 1
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_it_passes_gradcheck(torchs):
    x = images(2, 3, 4, 6).requires_grad_()
    kernel = KERNELS[torchs]
    assert gradcheck(kernel.apply, x)
    assert gradgradcheck(kernel.apply, x)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 2, "stride": 1},
        {"kernel_size": (2, 1)},
        {"kernel_size": 2, "padding": 1},
        {"kernel_size": 4},
    ],
    ids=str,
)
def test_other_windows_are_torchs(torchs, called, options):
    x = images(20, 6, 28, 28)
    assert torch.equal(FAST[torchs](x, **options), torchs(x, **options))
    assert not called


def test_odd_sizes_are_torchs(torchs, called):
    x = images(20, 6, 29, 27)
    for ceil_mode in (False, True):
        found = FAST[torchs](x, 2, ceil_mode=ceil_mode)
        assert torch.equal(found, torchs(x, 2, ceil_mode=ceil_mode))
    assert not called


def test_what_one_kernel_alone_takes(torchs, called):
    x = images(20, 6, 28, 28)
    if torchs is F.max_pool2d:
        large = torch.zeros(1, 4096, 4096)
        assert torch.equal(pooling.max_pool2d(large, 2), F.max_pool2d(large, 2))
        y, index = pooling.max_pool2d(x, 2, return_indices=True)
        assert torch.equal(index, F.max_pool2d(x, 2, return_indices=True)[1])
        assert torch.equal(pooling.max_pool2d(x, 2, dilation=3), F.max_pool2d(x, 2, dilation=3))
    else:
        y = pooling.avg_pool2d(x, 2, divisor_override=3)
        assert torch.equal(y, F.avg_pool2d(x, 2, divisor_override=3))
    assert not called


def test_other_tensors_are_torchs(torchs, called):
    x = images(20, 6, 28, 28)
    for other in (
        x.to(memory_format=torch.channels_last),
        (30000 + x).half(),
        x[:1, :1, :6, :6],
    ):
        assert torch.equal(FAST[torchs](other, 2), torchs(other, 2))
    assert not called


@torch.no_grad()
def test_without_a_gradient(torchs, called):
    x = images(20, 6, 28, 28)
    torch.testing.assert_close(FAST[torchs](x, 2), torchs(x, 2))
    assert called


def test_not_a_number_stays_one(torchs, called):
    x = images(20, 6, 28, 28)
    x[3, 2, 5, 5] = torch.nan
    found = FAST[torchs](x, 2).isnan()
    assert found.sum() == 1
    assert torch.equal(found, torchs(x, 2).isnan())
    assert called


class Functional(nn.Module):
    """Pools in its forward, as much code does."""

    def __init__(self, pool):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(1, 6, 3, padding=1, dtype=torch.float64), pool

    def forward(self, x):
        return self.pool(self.conv(x).relu(), 2)


def test_students_are_diverted(torchs, called):
    layer = {F.max_pool2d: nn.MaxPool2d, F.avg_pool2d: nn.AvgPool2d}[torchs]
    functional = Functional(torchs)
    layered = Functional(lambda x, _: layer(2)(x))
    layered.load_state_dict(functional.state_dict())
    x = images(20, 1, 28, 28)
    builtin = Functional(torch.max_pool2d if torchs is F.max_pool2d else torchs)
    builtin.load_state_dict(functional.state_dict())
    for module in (functional, layered, builtin):
        apply = pure(module)
        params = dict(module.named_parameters())
        before = len(called)
        torch.testing.assert_close(with_kernels(apply, POOLING)(params, x), apply(params, x))
        assert len(called) == before + 1


def test_stacked_students_go_through_torchs_kernels(torchs, called):
    """torch.func, which stacks them, has rules of its own."""
    apply = pure(Functional(torchs))
    params = {name: torch.stack([p, -p]) for name, p in Functional(torchs).named_parameters()}
    x = images(20, 1, 28, 28)
    torch.testing.assert_close(with_kernels(apply, POOLING)(params, x), apply(params, x))
    assert not called


@pytest.mark.parametrize("fast", [True, False])
def test_students_on_a_cpu_pool_so_unless_it_is_turned_off(torchs, called, fast):
    module = {F.max_pool2d: LeNet, F.avg_pool2d: ConvNet}[torchs]
    spec = StudentSpec(module, {"sample_shape": (1, 28, 28), "n_classes": 10}, (1, 28, 28))
    acceleration = Acceleration(pooling=fast)
    student = student_fn(spec, torch.device("cpu"), cross_entropy, acceleration)
    for apply in (student.apply, student.features):
        before = len(called)
        apply(dict(spec().named_parameters()), torch.randn(40, 1, 28, 28))
        assert (len(called) > before) == fast
