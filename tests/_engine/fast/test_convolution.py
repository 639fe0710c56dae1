"""The fast convolution is torch's: values, gradients, their gradients, and every option."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.nn import functional as F

from sklearn_dd._engine import CONVOLUTION, cross_entropy, pure, with_kernels
from sklearn_dd._engine.fast import convolution
from sklearn_dd._engine.fast.convolution import conv2d
from sklearn_dd._student.function import Acceleration, student_fn
from sklearn_dd._student.spec import StudentSpec
from sklearn_dd.students import LeNet


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


@pytest.fixture
def called(monkeypatch):
    """The images of calls that went through the fast function."""
    calls = []
    apply = convolution._Convolve.apply
    monkeypatch.setattr(
        convolution._Convolve, "apply", lambda x, *rest: calls.append(x) or apply(x, *rest)
    )
    return calls


OPTIONS = [
    {},
    {"padding": 2},
    {"stride": 2, "padding": (1, 0)},
    {"stride": (2, 1), "padding": [2]},
    {"stride": np.int64(2), "padding": (1,)},
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_and_gradients_of_three_orders(called, options, channels, order, dtype):
    shapes = (7, channels, 9, 8), (5, channels, 3, 4), (5,)
    tensors = [normal(*shape, dtype=dtype) for shape in shapes]
    tensors[0] = tensors[0].to(memory_format=order)
    results = []
    for conv in (F.conv2d, conv2d):
        leaves = [t.clone().requires_grad_() for t in tensors]
        found = [conv(*leaves, **options)]
        orders = [found]
        for _ in range(3):
            # It bends, so that each order's gradient depends on all leaves.
            total = sum(F.softplus(t).sum() for t in found)
            found = grad(total, leaves, create_graph=True)
            orders.append(found)
        results.append([t for order in orders for t in order])
    assert called
    for expected, fast in zip(*results, strict=True):
        assert (fast - expected).norm() <= 100 * torch.finfo(dtype).eps * expected.norm()


@pytest.mark.parametrize("needed", [*product([True, False], repeat=3)][:-1], ids=str)
def test_what_needs_no_gradient_gets_none(called, needed):
    tensors = [normal(4, 2, 6, 6), normal(3, 2, 3, 3), normal(3)]
    results = []
    for conv in (F.conv2d, conv2d):
        inputs = [t.clone().requires_grad_(yes) for t, yes in zip(tensors, needed, strict=True)]
        leaves = [t for t in inputs if t.requires_grad]
        first = grad(F.softplus(conv(*inputs)).sum(), leaves, create_graph=True)
        second = grad(sum(F.softplus(t).sum() for t in first), leaves)
        results.append([*first, *second])
    assert called
    for expected, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, expected)


@pytest.mark.parametrize("channels", [2, 5], ids=["few channels", "more"])
def test_it_passes_gradcheck(called, channels):
    leaves = [normal(2, channels, 5, 4), normal(3, channels, 2, 3), normal(3)]
    leaves = [t.requires_grad_() for t in leaves]
    strided = lambda *args: conv2d(*args, stride=(2, 1), padding=1)  # noqa: E731
    assert gradcheck(strided, leaves)
    assert gradgradcheck(strided, leaves)
    assert called


@pytest.mark.parametrize(
    "options",
    [{"groups": 2}, {"dilation": 2}, {"padding": "same"}],
    ids=str,
)
def test_other_options_are_torchs(called, options):
    x, weight = normal(3, 4, 9, 9), normal(6, 4 // options.get("groups", 1), 3, 3)
    assert torch.equal(conv2d(x, weight, **options), F.conv2d(x, weight, **options))
    assert not called


def test_other_tensors_are_torchs(called):
    x, weight = normal(3, 4, 9, 9), normal(6, 4, 3, 3)
    others = (x.transpose(2, 3), weight), (x.bfloat16(), weight.bfloat16()), (x[0], weight)
    for images, weights in others:
        assert torch.equal(conv2d(images, weights), F.conv2d(images, weights))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv2d(x.float(), weight.float()).dtype == torch.bfloat16
    assert not called


@pytest.mark.parametrize("wrong", ["stride of three", "stride", "channels", "images"])
def test_errors_are_torchs(wrong):
    x, weight = normal(3, 4, 9, 9), normal(6, 4, 3, 3)
    arguments = {
        "stride of three": (x, weight, None, (1, 1, 1)),
        "stride": (x, weight, None, 2.0),
        "channels": (x, weight[:, :3]),
        "images": (x.tolist(), weight),
    }[wrong]
    with pytest.raises((RuntimeError, TypeError), match=r"conv2d|stride|channels"):
        conv2d(*arguments)


def test_other_devices_are_torchs(called):
    x, weight = torch.zeros(2, 3, 8, 8, device="meta"), torch.zeros(4, 3, 3, 3, device="meta")
    assert conv2d(x, weight).shape == (2, 4, 6, 6)
    assert not called


def test_gradients_that_no_memory_holds(called):
    """A sum's gradient is one number, spread over all outputs."""
    x, weight = normal(3, 1, 9, 9).requires_grad_(), normal(6, 1, 3, 3).requires_grad_()
    fast, expected = (grad(conv(x, weight).sum(), (x, weight)) for conv in (conv2d, F.conv2d))
    assert len(called) == 1
    for found, other in zip(fast, expected, strict=True):
        torch.testing.assert_close(found, other)


class Functional(nn.Module):
    """Convolves in its forward, and in a layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, dtype=torch.float64)
        self.weight = nn.Parameter(normal(3, 2, 3, 3))

    def forward(self, x):
        return F.conv2d(self.layer(x).relu(), self.weight)


def test_students_are_diverted(called):
    module = Functional()
    apply, params, x = pure(module), dict(module.named_parameters()), normal(4, 1, 9, 9)
    fast = with_kernels(apply, CONVOLUTION)
    torch.testing.assert_close(fast(params, x), apply(params, x))
    assert len(called) == 2


def test_without_kernels_students_are_not_diverted():
    apply = pure(Functional())
    assert with_kernels(apply, {}) is apply


def test_stacked_students_go_through_torchs_convolutions(called):
    """torch.func, which stacks them, has rules of its own."""
    module = Functional()
    apply, x = pure(module), normal(4, 1, 9, 9)
    params = {name: torch.stack([p, -p]) for name, p in module.named_parameters()}
    torch.testing.assert_close(with_kernels(apply, CONVOLUTION)(params, x), apply(params, x))
    assert not called


@pytest.mark.parametrize("fast", [True, False])
def test_students_on_a_cpu_convolve_so_unless_it_is_turned_off(called, fast):
    spec = StudentSpec(LeNet, {"sample_shape": (1, 28, 28), "n_classes": 10}, (1, 28, 28))
    acceleration = Acceleration(convolution=fast)
    student = student_fn(spec, torch.device("cpu"), cross_entropy, acceleration)
    for apply in (student.apply, student.features):
        before = len(called)
        apply(dict(spec().named_parameters()), torch.randn(4, 1, 28, 28))
        assert len(called) == before + 2 * fast
