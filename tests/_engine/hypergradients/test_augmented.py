"""One transformation for all images, real and distilled, and an exact way back through it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd._engine import Augmented, GradientMatching, Method, Unrolled
from sklearn_dd.augmentation import (
    COLOR,
    DSA,
    Chain,
    brightness,
    cutout,
    flip,
    rotate,
    scale,
    shift,
)

from ..problems import assert_equal, assert_same, convnet, leaves_of, outer_loss


@pytest.fixture
def problem():
    return convnet()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_augmentation_is_the_plain_method(problem):
    found = Augmented(Unrolled(), Chain(()))(problem.outer())
    assert_equal(found, Unrolled()(problem.outer()))


def test_mirrored_twice_is_the_plain_method(problem):
    twice = Chain((lambda x, _: x.flip(-1), lambda x, _: x.flip(-1)))
    assert_same(Augmented(Unrolled(), twice)(problem.outer()), Unrolled()(problem.outer()))


@pytest.mark.parametrize(
    "augment", [COLOR, Chain((shift, cutout, rotate, scale, flip))], ids=["colour", "geometry"]
)
def test_it_passes_gradcheck(problem, augment):
    method = Augmented(GradientMatching(max_age=0), augment)
    assert method(problem.outer()).x.any()
    loss, leaves = outer_loss(method, problem, "x"), leaves_of(problem, "x")
    assert gradcheck(loss, leaves, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_labels_and_step_sizes_have_their_gradient_for_the_transformed_images(problem):
    found = Augmented(Unrolled(), partial(brightness, amount=0.7))(problem.outer(seed=4))
    drawn = torch.randint(1 << 62, (), generator=seeded(4))
    uniform = torch.rand((), generator=seeded(int(drawn)), dtype=torch.float64).item()
    added = -0.7 + 1.4 * uniform
    x_real, y_real = problem.real
    brighter = problem.outer(x=problem.x + added, real=(x_real + added, y_real))
    assert_same(found, Unrolled()(brighter))


def test_real_and_every_mini_batch_are_transformed_alike(problem):
    seen = []

    def spy(outer):
        seen.append((outer.x, outer.real[0]))
        assert not outer.x.requires_grad
        return outer.zeros()._replace(x=torch.ones_like(outer.x))

    image = torch.randn(1, 1, 8, 6, generator=seeded(0), dtype=torch.float64)
    x, real = image.expand(5, 1, 1, 8, 6), (image.expand(7, 1, 8, 6), torch.zeros(7).long())
    for seed in range(20):
        Augmented(spy, DSA)(problem.outer(x=x, real=real, seed=seed))
        distilled, of_real = seen[-1]
        images = [*distilled.flatten(0, 1), *of_real]
        assert all(torch.equal(other, images[0]) for other in images)
    assert len({float(of_real.sum()) for _, of_real in seen}) > 10


def test_the_same_seed_gives_the_same_to_the_bit(problem):
    method = Augmented(Unrolled(), rotate)
    first, second, other = (method(problem.outer(seed=seed)) for seed in (1, 1, 2))
    assert_equal(first, second)
    assert not torch.equal(first.x, other.x)


def test_each_call_draws_anew(problem):
    outer = problem.outer()
    first, second = (Augmented(Unrolled(), rotate)(outer) for _ in range(2))
    assert first.loss != second.loss


def test_what_the_method_carries_goes_along(problem):
    class Counter(Method):
        calls = 0

        def __call__(self, outer):
            self.calls += 1
            return outer.zeros()

        def state_dict(self):
            return {"calls": torch.tensor(self.calls)}

        def load_state_dict(self, state):
            self.calls = int(state["calls"])

    first, second = Augmented(Counter(), flip), Augmented(Counter(), flip)
    first(problem.outer()), first(problem.outer())
    second.load_state_dict(first.state_dict())
    assert second.method.calls == 2
    nothing = Augmented(Unrolled(), flip)
    assert nothing.state_dict() == {}
    nothing.load_state_dict({})


def test_no_graph_outlives_the_call(problem):
    found = Augmented(Unrolled(), COLOR)(problem.outer())
    assert not any(part.requires_grad for part in found)
