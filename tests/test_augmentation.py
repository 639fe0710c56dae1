"""Each augmentation does one transformation to all images alike, and can be differentiated."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from sklearn_dd.augmentation import (
    COLOR,
    DSA,
    Chain,
    OneOf,
    brightness,
    contrast,
    cutout,
    flip,
    rotate,
    saturation,
    scale,
    shift,
)

SINGLE = [flip, shift, scale, rotate, cutout, brightness, contrast, saturation]
AUGMENTS = {augment.__name__: augment for augment in SINGLE} | {"COLOR": COLOR, "DSA": DSA}
SEEDS = range(20)


@pytest.fixture(params=AUGMENTS.values(), ids=AUGMENTS)
def augment(request: pytest.FixtureRequest):
    return request.param


@pytest.fixture
def images() -> torch.Tensor:
    """Three of two channels, 8 × 6."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, 8, 6, generator=g, dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(g: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=g, dtype=torch.float64).item()


# Every augmentation


def test_it_passes_gradcheck(augment, images):
    images = images[:2, :, :4, :5].requires_grad_()
    for seed in range(4):
        assert gradcheck(lambda x, seed=seed: augment(x, seeded(seed)), images, atol=1e-8)


def test_the_seed_decides(augment, images):
    results = [augment(images, seeded(seed)) for seed in SEEDS]
    for seed, result in zip(SEEDS, results, strict=True):
        assert torch.equal(result, augment(images, seeded(seed)))
        assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert any(not torch.equal(result, results[0]) for result in results)


def test_all_images_are_transformed_alike(augment, images):
    for seed in SEEDS:
        alone = [augment(image[None], seeded(seed)) for image in images]
        torch.testing.assert_close(augment(images, seeded(seed)), torch.cat(alone))


def test_nothing_else_is_changed(augment, images):
    before, state = images.clone(), torch.get_rng_state()
    for seed in SEEDS:
        augment(images, seeded(seed))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_can_be_sent_to_another_process(augment):
    assert pickle.loads(pickle.dumps(augment)) == augment


# Each augmentation


def test_flip_mirrors_every_other_time(images):
    mirrored = images[..., [5, 4, 3, 2, 1, 0]]
    results = [flip(images, seeded(seed)) for seed in range(100)]
    n_mirrored = sum(torch.equal(result, mirrored) for result in results)
    assert sum(torch.equal(result, images) for result in results) == 100 - n_mirrored
    assert 30 < n_mirrored < 70


def test_shift_moves_by_whole_pixels(images):
    moves = {}
    for di in (-2, -1, 0, 1, 2):
        for dj in (-1, 0, 1):
            moved = torch.zeros_like(images)
            for i in range(8):
                for j in range(6):
                    if 0 <= i + di < 8 and 0 <= j + dj < 6:
                        moved[:, :, i, j] = images[:, :, i + di, j + dj]
            moves[di, dj] = moved
    seen = set()
    for seed in range(200):
        result = shift(images, seeded(seed), ratio=0.2)  # of 8 and of 6: 2 and 1
        seen |= {by for by, moved in moves.items() if torch.equal(result, moved)}
        assert any(torch.equal(result, moved) for moved in moves.values())
    assert seen == set(moves)


def naive_resample(images, matrix):
    """Bilinear, by loops; ``matrix`` maps a pixel to its source, (down, right) from the centre."""
    n_rows, n_columns = images.shape[-2:]
    result = torch.zeros_like(images)
    for i in range(n_rows):
        for j in range(n_columns):
            centre = (n_rows - 1) / 2, (n_columns - 1) / 2
            down, right = i - centre[0], j - centre[1]
            row, column = (
                a * down + b * right + c for (a, b), c in zip(matrix, centre, strict=True)
            )
            for k in range(n_rows):
                for m in range(n_columns):
                    weight = max(0, 1 - abs(row - k)) * max(0, 1 - abs(column - m))
                    result[:, :, i, j] += weight * images[:, :, k, m]
    return result


def test_rotate_turns_in_pixels(images):
    for seed in range(5):
        angle = math.radians(uniform(seeded(seed), -40, 40))
        cos, sin = math.cos(angle), math.sin(angle)
        expected = naive_resample(images, [[cos, sin], [-sin, cos]])
        torch.testing.assert_close(rotate(images, seeded(seed), degrees=40), expected)


def test_scale_stretches_height_and_width(images):
    for seed in range(5):
        g = seeded(seed)
        y, x = 1.5 ** uniform(g, -1, 1), 1.5 ** uniform(g, -1, 1)
        expected = naive_resample(images, [[y, 0], [0, x]])
        torch.testing.assert_close(scale(images, seeded(seed), ratio=1.5), expected)


def test_cutout_blanks_a_rectangle(images):
    sizes = set()
    for seed in range(200):
        result = cutout(images, seeded(seed))
        blank = (result == 0).all((0, 1))
        assert torch.equal(result[..., ~blank], images[..., ~blank])
        rows, columns = blank.any(1), blank.any(0)
        assert torch.equal(blank, rows[:, None] & columns)
        for line in rows, columns:
            where = line.nonzero().flatten().tolist()
            assert where == list(range(where[0], where[-1] + 1))
        sizes.add((int(rows.sum()), int(columns.sum())))
    assert max(sizes) == (4, 3)  # half of 8 and of 6
    assert len(sizes) > 1


def test_brightness_adds_the_same_everywhere(images):
    added = torch.stack([brightness(images, seeded(seed), 0.3) - images for seed in SEEDS])
    assert added.flatten(1).std(1).max() < 1e-15
    assert -0.3 <= added.min() < -0.1
    assert 0.1 < added.max() <= 0.3


@pytest.mark.parametrize(("augment", "dims"), [(contrast, (1, 2, 3)), (saturation, (1,))])
def test_contrast_and_saturation_scale_about_a_mean(images, augment, dims):
    mean = images.mean(dims, keepdim=True)
    factors = []
    for seed in SEEDS:
        result = augment(images, seeded(seed), 0.4)
        torch.testing.assert_close(result.mean(dims, keepdim=True), mean)
        ratio = (result - mean) / (images - mean)
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
        factors.append(float(ratio.mean()))
    assert 0.6 <= min(factors) < 0.8
    assert 1.2 < max(factors) <= 1.4


def test_grey_images_know_no_saturation(images):
    torch.testing.assert_close(saturation(images[:, :1], seeded(0)), images[:, :1])


# Several of them


def test_a_chain_is_one_after_the_other(images):
    g = seeded(3)
    expected = rotate(brightness(images, g), g)
    assert torch.equal(Chain((brightness, rotate))(images, seeded(3)), expected)
    assert not torch.equal(Chain((rotate, brightness))(images, seeded(3)), expected)
    assert Chain(())(images, seeded(3)) is images


def test_one_of_takes_each_as_often(images):
    members = tuple(lambda x, g, i=i: x + i for i in range(3))
    taken = [int((OneOf(members)(images, seeded(s)) - images).mean().round()) for s in range(300)]
    assert all(70 < taken.count(i) < 130 for i in range(3))
