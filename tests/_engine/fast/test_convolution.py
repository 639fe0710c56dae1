"""A convolution of ours is torch's: values, gradients, their gradients, and every option."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.nn import functional as F

from sklearn_dd.engine import convolution
from sklearn_dd.engine.convolution import conv2d
from sklearn_dd.engine.inner_loop import pure
from sklearn_dd.engine.kernels import with_fast_kernels
from sklearn_dd.modules import LeNet
from sklearn_dd.student import Network, learner


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


@pytest.fixture
def called(monkeypatch):
    """The images of calls that went through our function."""
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
    for theirs, ours in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 100 * torch.finfo(dtype).eps * theirs.norm()


@pytest.mark.parametrize("wanted", [*product([True, False], repeat=3)][:-1], ids=str)
def test_what_wants_no_gradient_gets_none(wanted):
    tensors = [normal(4, 2, 6, 6), normal(3, 2, 3, 3), normal(3)]
    results = []
    for conv in (F.conv2d, conv2d):
        inputs = [t.clone().requires_grad_(yes) for t, yes in zip(tensors, wanted, strict=True)]
        leaves = [t for t in inputs if t.requires_grad]
        first = grad(F.softplus(conv(*inputs)).sum(), leaves, create_graph=True)
        second = grad(sum(F.softplus(t).sum() for t in first), leaves)
        results.append([*first, *second])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("channels", [2, 5], ids=["few channels", "more"])
def test_gradcheck(channels):
    leaves = [normal(2, channels, 5, 4), normal(3, channels, 2, 3), normal(3)]
    leaves = [t.requires_grad_() for t in leaves]
    strided = lambda *args: conv2d(*args, stride=(2, 1), padding=1)  # noqa: E731
    assert gradcheck(strided, leaves)
    assert gradgradcheck(strided, leaves)


@pytest.mark.parametrize(
    "options",
    [{"groups": 2}, {"dilation": 2}, {"padding": "same"}],
    ids=str,
)
def test_other_options_are_torchs(called, options):
    x, w = normal(3, 4, 9, 9), normal(6, 4 // options.get("groups", 1), 3, 3)
    assert torch.equal(conv2d(x, w, **options), F.conv2d(x, w, **options))
    assert not called


def test_other_tensors_are_torchs(called):
    x, w = normal(3, 4, 9, 9), normal(6, 4, 3, 3)
    for other, weight in (
        (x.transpose(2, 3), w),
        (x.bfloat16(), w.bfloat16()),
        (x[0], w),
    ):
        assert torch.equal(conv2d(other, weight), F.conv2d(other, weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv2d(x.float(), w.float()).dtype == torch.bfloat16
    assert not called


def test_errors_are_torchs():
    x, w = normal(3, 4, 9, 9), normal(6, 4, 3, 3)
    for arguments in ((x, w, None, (1, 1, 1)), (x, w, None, 2.0), (x, w[:, :3]), (x.tolist(), w)):
        with pytest.raises((RuntimeError, TypeError), match=r"conv2d|stride|channels"):
            conv2d(*arguments)


def test_other_devices_are_torchs(called):
    x, w = torch.zeros(2, 3, 8, 8, device="meta"), torch.zeros(4, 3, 3, 3, device="meta")
    assert conv2d(x, w).shape == (2, 4, 6, 6)
    assert not called


def test_gradients_that_no_memory_holds():
    """A sum's gradient is one number, spread over all outputs."""
    x, w = normal(3, 1, 9, 9).requires_grad_(), normal(6, 1, 3, 3).requires_grad_()
    for ours, theirs in zip(
        grad(conv2d(x, w).sum(), (x, w)), grad(F.conv2d(x, w).sum(), (x, w)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


class Functional(nn.Module):
    """Convolves in its forward, and in a layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, dtype=torch.float64)
        self.weight = nn.Parameter(normal(3, 2, 3, 3))

    def forward(self, x):
        return F.conv2d(self.layer(x).relu(), self.weight)


def test_networks_are_diverted(called):
    module = Functional()
    apply, params, x = pure(module), dict(module.named_parameters()), normal(4, 1, 9, 9)
    torch.testing.assert_close(with_fast_kernels(apply)(params, x), apply(params, x))
    assert len(called) == 2


def test_several_nets_at_once(called):
    """torch.func, which stacks them, goes through torch's convolutions."""
    module = Functional()
    apply, x = pure(module), normal(4, 1, 9, 9)
    params = {name: torch.stack([p, -p]) for name, p in module.named_parameters()}
    torch.testing.assert_close(with_fast_kernels(apply)(params, x), apply(params, x))
    assert not called


def test_students_on_a_cpu_convolve_so(called):
    network = Network(LeNet, {"sample_shape": (1, 28, 28), "n_classes": 10}, (1, 28, 28))
    pupil = learner(network, torch.device("cpu"))
    for apply in (pupil.apply, pupil.features):
        before = len(called)
        apply(dict(network().named_parameters()), torch.randn(4, 1, 28, 28))
        assert len(called) == before + 2
