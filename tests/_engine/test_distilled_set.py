"""The learned tensors keep their meaning wherever the optimiser moves them."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd._engine import CLASS_PROBABILITIES, LABEL_PROBABILITIES, NUMBERS, DistilledSet

PARAMETRISATIONS = {
    "fixed": None,
    "class probabilities": CLASS_PROBABILITIES,
    "label probabilities": LABEL_PROBABILITIES,
    "numbers": NUMBERS,
}
each_kind_of_label = pytest.mark.parametrize("labels", PARAMETRISATIONS)


def parts():
    """Samples, labels, and step sizes of very different sizes."""
    g = torch.Generator().manual_seed(0)
    x, logits = (torch.randn(2, 3, n, generator=g, dtype=torch.float64) for n in (5, 4))
    lrs = torch.tensor([[1e-4, 0.02], [1.0, 50.0]], dtype=torch.float64)
    return x, logits.softmax(-1), lrs


def make(labels="fixed"):
    return DistilledSet(*parts(), parametrisation=PARAMETRISATIONS[labels])


@each_kind_of_label
def test_it_starts_where_it_is_told(labels):
    x, y, lrs = parts()
    distilled = make(labels)
    assert torch.equal(distilled.x, x)
    torch.testing.assert_close(distilled.y, y)
    torch.testing.assert_close(distilled.lrs, lrs, rtol=1e-9, atol=0)


def moved(labels):
    """A set whose free parameters are far from where they began."""
    distilled = make(labels)
    with torch.no_grad():
        for p in distilled.free:
            p.sub_(10)
            p.mul_(torch.randn_like(p))
    assert not torch.allclose(distilled.y, parts()[1])
    return distilled


def test_step_sizes_stay_positive_and_labels_probabilities():
    distilled = moved("class probabilities")
    assert (distilled.lrs > 0).all()
    assert (distilled.y > 0).all()
    torch.testing.assert_close(distilled.y.sum(-1), torch.ones(2, 3, dtype=torch.float64))


def test_labels_of_a_multilabel_problem_stay_between_zero_and_one():
    y = moved("label probabilities").y
    assert ((y >= 0) & (y <= 1)).all()
    assert not torch.allclose(y.sum(-1), torch.ones(2, 3, dtype=torch.float64))


def test_labels_that_are_certain_can_still_move():
    """The logit of 1 is infinite."""
    y = torch.tensor([[[0.0, 1.0]]])
    certain = DistilledSet(
        torch.zeros(1, 1, 2), y, torch.ones(1, 1), parametrisation=LABEL_PROBABILITIES
    )
    certain.pull_back(torch.zeros(1, 1, 2), torch.ones(1, 1, 2), torch.zeros(1, 1))
    assert certain.free_y.isfinite().all()
    assert (certain.free_y.grad > 0).all()
    torch.testing.assert_close(certain.y, y, rtol=0, atol=1e-5)


@each_kind_of_label
def test_pull_back_is_the_chain_rule(labels):
    distilled = make(labels)
    torch.manual_seed(1)
    gradients = [torch.randn_like(t) for t in (distilled.x, distilled.y, distilled.lrs)]
    distilled.pull_back(*gradients)

    def loss(*free):
        there = make(labels)
        there.restore(list(free))
        return sum(
            float((t.detach() * gradient).sum())
            for t, gradient in zip((there.x, there.y, there.lrs), gradients, strict=True)
        )

    start = distilled.snapshot()
    for i, p in enumerate(distilled.free):
        bump = torch.randn_like(p)
        up, down = (
            loss(*start[:i], start[i] + step * bump, *start[i + 1 :]) for step in (1e-6, -1e-6)
        )
        slope = (up - down) / 2e-6
        assert float((p.grad * bump).sum()) == pytest.approx(slope, rel=1e-6)


def test_fixed_labels_do_not_move():
    distilled = make()
    assert not distilled.learns_labels
    assert distilled.free == [distilled.free_x, distilled.free_lrs]
    assert not distilled.y.requires_grad


def test_a_snapshot_is_a_copy():
    distilled = make("numbers")
    saved = distilled.snapshot()
    with torch.no_grad():
        for p in distilled.free:
            p.zero_()
    assert not distilled.x.any()
    distilled.restore(saved)
    assert torch.equal(distilled.x, make("numbers").x)
    assert torch.equal(distilled.y, make("numbers").y)


@each_kind_of_label
def test_on_another_device_it_is_the_same_and_its_own(labels):
    distilled = make(labels)
    twin = distilled.to(torch.device("cpu"))
    assert twin.parametrisation is distilled.parametrisation
    for part in ("x", "y", "lrs"):
        torch.testing.assert_close(getattr(twin, part), getattr(distilled, part))
    with torch.no_grad():
        twin.free_x.zero_()
    assert distilled.x.any()


def test_students_see_snapped_samples_and_the_gradient_passes_through():
    x = torch.tensor([[[0.3, 7.9]]])
    distilled = DistilledSet(x, torch.eye(1)[None], torch.ones(1, 1), snap=torch.round)
    assert torch.equal(distilled.x, torch.round(x))
    (gradient,) = torch.autograd.grad(
        (distilled.x * torch.tensor([2.0, 3.0])).sum(), distilled.free_x
    )
    assert gradient.tolist() == [[[2.0, 3.0]]]
