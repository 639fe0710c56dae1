"""The local response norm is torch's: values, gradients and their gradients."""

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.nn import functional as F

from sklearn_dd.engine import kernels
from sklearn_dd.engine.normalization import local_response_norm
from sklearn_dd.modules import AlexCifarNet
from sklearn_dd.student import Network, learner


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(4, 7, 5, 6), (4, 7, 5), (4, 3, 2, 3, 2)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"size": 4, "alpha": 1e-3, "beta": 0.75, "k": 1.0},
        {"size": 5, "alpha": 2.0, "beta": 0.5, "k": 2.0},
        {"size": 1},
        {"size": 9},  # more than there are channels
    ],
    ids=str,
)
def test_values_and_gradients(options, shape):
    results = []
    for norm in (F.local_response_norm, local_response_norm):
        x = normal(*shape).requires_grad_()
        y = norm(x, **options)
        (first,) = grad(y.sin().sum(), x, create_graph=True)
        (second,) = grad(first.sin().sum(), x)
        results.append((y, first, second))
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradcheck():
    x = normal(2, 5, 2, 2).requires_grad_()
    norm = lambda x: local_response_norm(x, 4, alpha=2.0)  # noqa: E731
    assert gradcheck(norm, x)
    assert gradgradcheck(norm, x)


def test_students_on_a_cpu_normalise_so(monkeypatch):
    called = []
    monkeypatch.setitem(
        kernels._KERNELS,
        F.local_response_norm,
        lambda x, *rest, **more: called.append(x) or local_response_norm(x, *rest, **more),
    )
    arguments = {"sample_shape": (3, 8, 8), "n_classes": 10}
    network = Network(AlexCifarNet, arguments, (3, 8, 8))
    params, x = dict(network().named_parameters()), torch.randn(4, 3, 8, 8)
    found = learner(network, torch.device("cpu")).apply(params, x)
    assert len(called) == 2
    module = network()
    module.load_state_dict(params)
    torch.testing.assert_close(found, module(x))
