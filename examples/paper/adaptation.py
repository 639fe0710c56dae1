"""Adaptation: distilled data that tune nets, trained on one data set, for another one.

The paper, section 4.3 and table 3: 100 images; nets that are unknown, or the one that is known. Its
labels are fixed and its nets take steps of SGD; ours are learned, and ours take steps of Adam. With
full settings three nets are known, one at a time. The real images of the target set are 7,291 or
60,000. USPS is here the original set of 16 x 16 pixels, resized to 22 x 22 in a frame of 28 x 28,
so that its mean is that of the paper's copy. Its standard test images are harder than its training
images; the paper's are another 1,860 of 9,298, so a split of these sizes, drawn at random, stands
beside the standard one. Of its few training images five copies are taken too, each mapped a little
differently, and for a known net their labels are smoothed; nets of MNIST are trained for three
epochs. All three were better for 30 % of its training images, held out. SVHN, in grey, is used
where it is given.

    python examples/paper/adaptation.py [--quick] [--seed 0]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from paper import DATA, Cell, Data, Experiment, cell, load, main, overview
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch.nn import functional as F

from sklearn_dd import DatasetDistiller, RandomSamples, train_pool
from sklearn_dd.modules import LeNet


class Paper(NamedTuple):
    """Its figures for one pair."""

    before: str
    unknown: str
    known: str
    random: str


PAIRS = {
    ("mnist", "usps"): Paper("90.4", "95.4", "97.9", "94.9"),
    ("usps", "mnist"): Paper("67.5 ± 3.9", "92.7 ± 1.4", "93.2", "87.1"),
    ("svhn", "mnist"): Paper("51.6 ± 2.8", "85.2 ± 4.7", "96.2", "84.6"),
}
REMARK = (
    "The paper's copy of USPS has other test images, 1,860 of 9,298: a split of these sizes, "
    "drawn at random, stands beside the standard one, whose test images are harder than its "
    "training images. None of its test images chose a setting: those that are training images of "
    "the standard split are of the first 70 % of its file. With full settings MNIST → USPS was "
    "scored earlier, and at random by another draw, 736 of whose test images had chosen settings: "
    "unknown nets 97.5 there, known ones 98.2. With nets of one epoch unknown ones had 95.1 and, "
    "at random, 96.8, one known net 96.6 and 97.8; without varied copies 94.8 and 96.9, 96.1 and "
    "97.7; with copies moved by a pixel a known net had 96.3 and 98.0."
)
# How nets become good ones of each source set.
TRAINING = {"mnist": {"lr": 4e-3, "batch_size": 128}, "usps": {"n_epochs": 8}, "svhn": {}}


def measure(run: Experiment) -> Iterator[Cell]:
    """Every pair that there are data for."""
    run.remark = REMARK
    for (source, target), paper in PAIRS.items():
        if source == "svhn" and not (DATA / "svhn.npz").exists():
            print(f"{source} → {target} is left out: there is no {DATA / 'svhn.npz'}.")
            continue
        there, here = load(source, 28), load(target, 28)
        pools = source_nets(run, source, there, *run.pick((20, 20), (60, 50)))
        name, key = f"{source.upper()} → {target.upper()}", f"{source}-{target}"
        yield from adapt(run, name, key, pools, here, paper)
        if target == "usps":
            name, key = f"{name}, split at random", f"{key}-at-random"
            yield from adapt(run, name, key, pools, at_random(here), paper)


def source_nets(
    run: Experiment, source: str, data: Data, n_train: int, n_held_out: int
) -> tuple[list[Any], list[Any]]:
    """Nets that are trained on a source set, to distil for and to score with."""
    training = {"n_epochs": run.pick(1, 3), **TRAINING[source]}
    return run.pools(source, LeNet, data.X, data.y, n_train, n_held_out, **training)


def at_random(usps: Data) -> Data:
    """All images of USPS, as many of them for the test as in the paper, none of which chose."""
    n, n_all = len(usps.X), len(usps.X) + len(usps.X_test)
    # Two shares of the standard training images chose the settings above and below.
    chose = train_test_split(np.arange(n), test_size=0.3, random_state=3, stratify=usps.y)[1]
    free = np.setdiff1d(np.arange(int(0.7 * n)), chose)
    rng, share = np.random.default_rng(0), round(1860 * n / n_all)
    test = rng.choice(free, share, replace=False), rng.choice(range(n, n_all), 1860 - share, False)
    rows = np.isin(np.arange(n_all), np.concatenate(test))
    X, y = np.concatenate([usps.X, usps.X_test]), np.concatenate([usps.y, usps.y_test])
    return Data(X[~rows], y[~rows], X[rows], y[rows])


def varied(data: Data, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Its training images, and copies of them: stretched, turned and slanted, moved by a pixel."""
    x = torch.from_numpy(data.X)[:, None]
    generator = torch.Generator().manual_seed(seed)
    most = torch.tensor([[0.1, 0.1, 2 / x.shape[-1]]] * 2)  # images run from -1 to 1
    copies = [x]
    for _ in range(5):
        noise = 2 * torch.rand(len(x), 2, 3, generator=generator) - 1
        grid = F.affine_grid(torch.eye(2, 3) + most * noise, list(x.shape), align_corners=False)
        copies.append(F.grid_sample(x, grid, align_corners=False))
    return torch.cat(copies)[:, 0].numpy(), np.tile(data.y, len(copies))


def smoothed(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy that asks for 91 %, not for certainty."""
    return F.cross_entropy(logits, y, label_smoothing=0.1)


def adapt(
    run: Experiment,
    name: str,
    key: str,
    pools: tuple[list[Any], list[Any]],
    here: Data,
    paper: Paper,
) -> Iterator[Cell]:
    """Unknown nets, a known one, and real images in place of distilled ones, some and all."""
    train, held_out = pools
    adam = NeuralNetClassifier(LeNet, optimizer=torch.optim.Adam)
    schedule = {"n_per_class": 10, "n_steps": 10, "n_epochs": 3, "student": adam}
    distiller = DatasetDistiller(
        **schedule, init=train, labels="free", data_init="real", distill_lr=0.003, n_inits=1,
        validation_fraction=0, max_iter=run.pick(200, 2000),
    )  # fmt: skip
    few_images = len(here.X) < 10_000  # which nets learn by heart
    X, y = varied(here, run.seed) if few_images else (here.X, here.y)
    seconds = run.fit(f"adapt-{key}-unknown", distiller, X, y)
    few = held_out[:20]  # to score nets after each step takes thirty times as long as at the end
    steps = distiller.evaluate(here.X_test, here.y_test, init=few, n_inits=len(few))
    yield cell(f"{name}: unknown nets, before", paper.before, steps.step_scores[0])
    scores = distiller.evaluate(
        here.X_test, here.y_test, init=held_out, n_inits=len(held_out), each_step=False
    ).scores
    yield cell(f"{name}: unknown nets, after", paper.unknown, scores, seconds)
    run.save(overview(distiller, steps.step_scores, name), key)

    known = DatasetDistiller(**distiller.get_params(deep=False))
    known.set_params(max_iter=run.pick(100, 1000))
    if few_images:
        known.set_params(objective=smoothed)
    scores, seconds = [], []
    for i, net in enumerate(held_out[: run.pick(1, 3)]):  # each has images of its own
        known.set_params(init=[net])
        seconds.append(run.fit(f"adapt-{key}-known-{i}", known, X, y))
        scores.append(known.evaluate(here.X_test, here.y_test).mean)
    yield cell(f"{name}: one known net, after", paper.known, scores, float(np.mean(seconds)))

    real = [
        RandomSamples(**schedule, init=train, random_state=100 * run.seed + i).fit(here.X, here.y)
        for i in range(run.pick(3, 5))
    ]
    scores = [
        r.evaluate(here.X_test, here.y_test, init=few, n_inits=len(few), each_step=False).scores
        for r in real
    ]
    yield cell(f"{name}: unknown nets, random real images", paper.random, np.concatenate(scores))

    # For comparison: what all images of the target set give.
    n_tuned = run.pick(2, 3)
    tuned = train_pool(
        LeNet, here.X, here.y, n_tuned, init=train, n_epochs=8, lr=1e-3, random_state=run.seed
    )
    before_any_step = distiller.evaluate(here.X_test, here.y_test, init=tuned, n_inits=n_tuned)
    yield cell(f"{name}: nets tuned on all images", "", before_any_step.step_scores[0])


if __name__ == "__main__":
    main(__file__, __doc__, measure)
