"""The learned tensors keep their meaning wherever the optimiser moves them."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd.engine.distilled_set import NUMBERS, PROBABILITIES, DistilledSet

LINKS = {"hard": None, "soft": PROBABILITIES, "free": NUMBERS}


def make(labels="hard"):
    torch.manual_seed(0)
    y = torch.randn(2, 3, 4, dtype=torch.float64).softmax(-1)
    lrs = torch.tensor([[1e-4, 0.02], [1.0, 50.0]], dtype=torch.float64)
    return DistilledSet(torch.randn(2, 3, 5, dtype=torch.float64), y, lrs, link=LINKS[labels])


@pytest.mark.parametrize("labels", LINKS)
def test_starts_where_it_is_told(labels):
    torch.manual_seed(0)
    y = torch.randn(2, 3, 4, dtype=torch.float64).softmax(-1)
    d = make(labels)
    torch.testing.assert_close(d.y, y)
    torch.testing.assert_close(
        d.lrs, torch.tensor([[1e-4, 0.02], [1.0, 50.0]], dtype=torch.float64), rtol=1e-9, atol=0
    )


def test_step_sizes_stay_positive_and_labels_probabilities():
    d = make("soft")
    with torch.no_grad():
        for p in d.free:
            p.sub_(10)
            p.mul_(torch.randn_like(p))
    assert (d.lrs > 0).all()
    assert (d.y > 0).all()
    torch.testing.assert_close(d.y.sum(-1), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("labels", LINKS)
def test_pull_back_is_the_chain_rule(labels):
    d = make(labels)
    torch.manual_seed(1)
    gradients = [torch.randn_like(t) for t in (d.x, d.y, d.lrs)]
    d.pull_back(*gradients)

    def loss(*free):
        moved = make(labels)
        moved.restore(list(free))
        return sum(
            float((t.detach() * g).sum())
            for t, g in zip((moved.x, moved.y, moved.lrs), gradients, strict=True)
        )

    start = d.snapshot()
    for i, p in enumerate(d.free):
        bump = torch.randn_like(p)
        up, down = (
            loss(*start[:i], start[i] + step * bump, *start[i + 1 :]) for step in (1e-6, -1e-6)
        )
        slope = (up - down) / 2e-6
        assert float((p.grad * bump).sum()) == pytest.approx(slope, rel=1e-6)


def test_hard_labels_do_not_move():
    d = make()
    assert len(d.free) == 2
    assert not d.y.requires_grad


def test_a_snapshot_is_a_copy():
    d = make()
    saved = d.snapshot()
    with torch.no_grad():
        d.free_x.zero_()
    d.restore(saved)
    assert torch.equal(d.x, make().x)
