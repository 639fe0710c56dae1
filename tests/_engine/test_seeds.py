"""Random streams depend on what they are for, and leave the global generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_dd._engine import Drawing, Stream, fold, generator
from sklearn_dd._engine.priors import random

BUILDERS = {
    "linear": lambda: nn.Linear(3, 4),
    "convolution": lambda: nn.Conv2d(2, 3, 3),
    "embedding": lambda: nn.Embedding(5, 3),
    "lstm": lambda: nn.LSTM(3, 4),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "functions": lambda: nn.ParameterList(
        [torch.rand(3), torch.randn(2, 2), torch.empty(4).uniform_()]
    ),
    "like": lambda: nn.ParameterList(
        [torch.randn_like(torch.empty(3)), torch.rand_like(torch.empty(2))]
    ),
    "distributions": lambda: nn.ParameterList(
        [
            torch.full((8, 8), 0.5).bernoulli(),
            torch.poisson(torch.full((8, 8), 3.0)),
            torch.randn_like(input=torch.empty(3), memory_format=torch.preserve_format),
        ]
    ),
    "truncated": lambda: nn.ParameterList([nn.init.trunc_normal_(torch.empty(3, 3))]),
    "orthogonal": lambda: nn.ParameterList([nn.init.orthogonal_(torch.empty(3, 3))]),
}


def test_seeds_of_different_keys_differ():
    keys = [(s, k, i) for s in range(5) for k in range(5) for i in range(20)]
    assert len({fold(*key) for key in keys}) == len(keys)
    assert fold(1, 2) != fold(2, 1)


def test_every_purpose_has_a_stream_of_its_own():
    first = {stream: float(torch.rand((), generator=generator(0, stream))) for stream in Stream}
    assert len(set(first.values())) == len(Stream)


def test_the_same_keys_give_the_same_numbers():
    first, second, other = (torch.randn(5, generator=generator(3, 1, i)) for i in (4, 4, 5))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_module_is_drawn_from_its_own_generator(build):
    before = torch.get_rng_state()
    first, second, other = (random(build)(generator(7, i)) for i in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_drawing_gives_what_the_seed_gives():
    torch.manual_seed(5)
    plain = nn.Linear(3, 4).weight
    with Drawing(torch.Generator().manual_seed(5)):
        drawn = nn.Linear(3, 4).weight
    assert torch.equal(plain, drawn)
