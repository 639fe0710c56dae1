"""Random streams depend on what they are for, and leave the global generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_dd.engine import priors
from sklearn_dd.engine.seeds import Drawing, fold, generator


def test_keys_tell_streams_apart():
    keys = [(s, k, i) for s in range(5) for k in range(5) for i in range(20)]
    assert len({fold(*key) for key in keys}) == len(keys)
    assert fold(1, 2) != fold(2, 1)


def test_same_keys_same_numbers():
    a, b = (torch.randn(5, generator=generator(3, 1, 4)) for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(3, 4),
        lambda: nn.Conv2d(2, 3, 3),
        lambda: nn.Embedding(5, 3),
        lambda: nn.LSTM(3, 4),
        lambda: nn.TransformerEncoderLayer(8, 2, 16),
        lambda: nn.ParameterList([torch.rand(3), torch.randn(2, 2), torch.empty(4).uniform_()]),
        lambda: nn.ParameterList(
            [torch.randn_like(torch.empty(3)), torch.rand_like(torch.empty(2))]
        ),
        lambda: nn.ParameterList(
            [
                torch.full((8, 8), 0.5).bernoulli(),
                torch.poisson(torch.full((8, 8), 3.0)),
                torch.randn_like(input=torch.empty(3), memory_format=torch.preserve_format),
            ]
        ),
        lambda: nn.ParameterList([nn.init.trunc_normal_(torch.empty(3, 3))]),
        lambda: nn.ParameterList([nn.init.orthogonal_(torch.empty(3, 3))]),
    ],
)
def test_a_module_is_drawn_from_its_own_generator(build):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (priors.random(build)(generator(7, i)) for i in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_drawing_gives_what_the_seed_gives():
    torch.manual_seed(5)
    plain = nn.Linear(3, 4).weight
    with Drawing(torch.Generator().manual_seed(5)):
        drawn = nn.Linear(3, 4).weight
    assert torch.equal(plain, drawn)


def test_net_i_depends_on_i_alone():
    prior = priors.random(lambda: nn.Linear(3, 4))
    two, five = (priors.draw(prior, range(n), 0, 1, 2) for n in (2, 5))
    assert torch.equal(two["weight"], five["weight"][:2])


def test_xavier_normal():
    def build():
        net = nn.Sequential(
            nn.Conv2d(3, 50, 5), nn.ReLU(), nn.GroupNorm(5, 50), nn.Linear(300, 500)
        )
        priors.xavier_normal(net)
        return net

    weights = priors.random(build)(generator(0))
    assert float(weights["0.weight"].std()) == pytest.approx((2 / (25 * 53)) ** 0.5, rel=0.05)
    assert float(weights["3.weight"].std()) == pytest.approx((2 / 800) ** 0.5, rel=0.05)
    assert not weights["0.bias"].any()
    assert not weights["3.bias"].any()
    assert (weights["2.weight"] == 1).all()


def test_pytorch_default():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.GroupNorm(5, 5), nn.Linear(3, 4))
    drawn = {name: p.clone() for name, p in net.state_dict().items()}
    priors.xavier_normal(net)
    torch.manual_seed(3)
    priors.pytorch_default(net)
    assert all(torch.equal(p, drawn[name]) for name, p in net.state_dict().items())


def test_a_pool_draws_each_member_before_any_again():
    pool = priors.Pool([{"p": torch.tensor(float(i))} for i in range(5)])
    draws = [priors.draw(pool, range(7), seed)["p"].tolist() for seed in range(20)]
    assert all(set(drawn[:5]) == {0.0, 1.0, 2.0, 3.0, 4.0} for drawn in draws)
    assert all(drawn[5:] == drawn[:2] for drawn in draws)
    assert {drawn[0] for drawn in draws} == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert priors.draw(pool, [1, 3], 0)["p"].tolist() == [draws[0][1], draws[0][3]]
    assert [len(priors.distinct(pool, n)) for n in (2, 9)] == [2, 5]


def test_nets_of_a_pool_are_learned_from_or_held_out():
    members = [{"p": torch.tensor(float(i))} for i in range(10)]
    pool = priors.Pool(members)
    kept, held_out = priors.hold_out_nets(pool, 0.35, generator(0))
    numbers = [sorted(float(net["p"]) for net in part.members) for part in (kept, held_out)]
    assert [len(part) for part in numbers] == [7, 3]
    assert sorted([*numbers[0], *numbers[1]]) == list(range(10))
    assert priors.hold_out_nets(pool, 0.05, generator(0)) == (pool, pool)
    assert priors.hold_out_nets(priors.random, 0.5, generator(0)) == (priors.random, priors.random)
