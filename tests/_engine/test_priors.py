"""Weight priors: student i depends on i alone, and the nets of a pool are drawn in turn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_dd._engine import Pool, distinct, draw, generator, hold_out_nets, known_net
from sklearn_dd._engine.priors import Mixed, random

fresh = random(lambda: nn.Linear(3, 4))


def pool_of(n):
    return Pool([{"weight": torch.tensor(float(i))} for i in range(n)])


def numbers(pool):
    return [float(net["weight"]) for net in pool.members]


def drawn(pool, indices, seed):
    return draw(pool, indices, seed)["weight"].tolist()


def test_student_i_depends_on_i_alone():
    two, five = (draw(fresh, range(n), 0, 1, 2) for n in (2, 5))
    assert torch.equal(two["weight"], five["weight"][:2])
    assert len(five["weight"].unique()) == five["weight"].numel()
    assert not five["weight"].requires_grad


def test_a_pool_draws_each_member_before_any_again():
    pool = pool_of(5)
    draws = [drawn(pool, range(7), seed) for seed in range(20)]
    assert all(set(order[:5]) == {0.0, 1.0, 2.0, 3.0, 4.0} for order in draws)
    assert all(order[5:] == order[:2] for order in draws)
    assert {order[0] for order in draws} == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert drawn(pool, [1, 3], 0) == [draws[0][1], draws[0][3]]


def test_as_many_are_distinct_as_the_pool_has():
    assert [len(distinct(pool_of(5), n)) for n in (2, 9)] == [2, 5]
    assert len(distinct(fresh, 9)) == 9


def test_a_pool_draws_one_net_as_a_prior():
    pool = pool_of(3)
    assert {float(pool(generator(i))["weight"]) for i in range(30)} == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_mixed_prior_draws_a_share_from_the_other(share):
    zero, one = (Pool([net]) for net in pool_of(2).members)
    found = draw(Mixed(zero, one, share), range(400), 0)["weight"]
    assert abs(found.mean() - share) < 0.06


def test_the_net_of_a_pool_of_one_is_known():
    assert known_net(pool_of(1)) == {"weight": torch.tensor(0.0)}
    assert known_net(pool_of(2)) is None
    assert known_net(fresh) is None


def test_nets_of_a_pool_are_learned_from_or_held_out():
    parts = hold_out_nets(pool_of(10), 0.35, generator(0))
    kept, held_out = map(numbers, parts)
    assert (len(kept), len(held_out)) == (7, 3)
    assert sorted([*kept, *held_out]) == list(range(10))


@pytest.mark.parametrize(
    ("prior", "fraction"), [(pool_of(10), 0.05), (fresh, 0.5)], ids=["too small", "no pool"]
)
def test_what_cannot_be_split_is_returned_twice(prior, fraction):
    assert hold_out_nets(prior, fraction, generator(0)) == (prior, prior)
