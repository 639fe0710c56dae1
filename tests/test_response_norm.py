"""The local response norm of AlexCifarNet is torch's: values, gradients and their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck, gradgradcheck

from sklearn_dd.students import AlexCifarNet, _ResponseNorm

TORCHS = nn.LocalResponseNorm(4, alpha=1e-3 / 9, beta=0.75, k=1)


def normal(*shape):
    generator = torch.Generator().manual_seed(0)
    # Large values, for which the norm is far from the identity.
    return 100 * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 7, 64])
def test_values_and_gradients_of_two_orders(n_channels):
    results = []
    for norm in (TORCHS, _ResponseNorm()):
        x = normal(4, n_channels, 5, 6).requires_grad_()
        y = norm(x)
        (first,) = grad((y / 100).sin().sum(), x, create_graph=True)
        (second,) = grad(first.sin().sum(), x)
        results.append((y, first, second))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
    values = results[1][0]
    assert (values - normal(4, n_channels, 5, 6)).norm() > 0.1 * values.norm()


def test_it_passes_gradcheck():
    x = normal(2, 5, 2, 2).requires_grad_()
    assert gradcheck(_ResponseNorm(), x)
    assert gradgradcheck(_ResponseNorm(), x)


def test_the_student_is_the_one_with_torchs_norm():
    torch.manual_seed(0)
    own, plain = (AlexCifarNet((3, 8, 8), 10) for _ in range(2))
    plain.load_state_dict(own.state_dict())
    places = [
        i for i, layer in enumerate(plain.features) if isinstance(layer, _ResponseNorm)
    ]  # fmt: skip
    assert len(places) == 2
    for i in places:
        plain.features[i] = TORCHS
    images = 10 * torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(own(images), plain(images))
