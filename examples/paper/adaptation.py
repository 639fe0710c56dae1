"""Adaptation: distilled data tune pre-trained nets for another data set.

This is section 4.3 and table 3 of the paper: 100 images, for unknown nets or for one known net. The
paper's labels are fixed and its nets are trained with SGD. Here labels are learned and the nets are
trained with Adam. With full settings three nets are known, one at a time. The target set has 7,291
or 60,000 real images.

USPS is the original set of 16 x 16 pixels, resized to 22 x 22 in a frame of 28 x 28. Its mean is
then that of the paper's copy. The standard test images of USPS are harder than its training images.
The paper's test images are another 1,860 of all 9,298, so a random split of these sizes is scored
beside the standard one. USPS has few training images, so five copies of each are added, each
slightly transformed. For a known net the labels of USPS are smoothed. Nets of MNIST are trained for
three epochs. All three choices were better on 30 % of the training images of USPS, held out. SVHN,
in grey, is used if it is there.

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

from sklearn_dd import DatasetDistiller, LeNet, RandomSamples, train_pool


class Paper(NamedTuple):
    """The paper's figures for one pair."""

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
    "The paper's copy of USPS has other test images: 1,860 of all 9,298. In the standard split the "
    "test images are harder than the training images. So a random split of the paper's sizes is "
    "scored beside the standard one. None of its test images was used to choose a setting: those "
    "that are training images of the standard split come from the first 70 % of its file.\n\n"
    "MNIST → USPS was also scored earlier, with full settings. An earlier random split, 736 of "
    "whose test images had been used to choose settings, gave 97.5 for unknown nets and 98.2 for "
    "known ones. The following pairs are the standard split and the random one. Nets trained for "
    "one epoch gave 95.1 and 96.8 (unknown), 96.6 and 97.8 (one known net). Without varied copies, "
    "they were 94.8 and 96.9 (unknown), 96.1 and 97.7 (known). With copies moved by a pixel, a "
    "known net gave 96.3 and 98.0."
)
# How nets are trained well on each source set.
TRAINING = {"mnist": {"lr": 4e-3, "batch_size": 128}, "usps": {"n_epochs": 8}, "svhn": {}}


def measure(run: Experiment) -> Iterator[Cell]:
    """Every pair whose data are there."""
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
    """Nets trained on a source set, to distil for and to score with."""
    training = {"n_epochs": run.pick(1, 3), **TRAINING[source]}
    return run.pools(source, LeNet, data.X, data.y, n_train, n_held_out, **training)


def at_random(usps: Data) -> Data:
    """A random split of all images of USPS in the paper's sizes.

    No test image was used to choose a setting.
    """
    n, n_all = len(usps.X), len(usps.X) + len(usps.X_test)
    # Two parts of the standard training images were used to choose the settings of this script.
    chose = train_test_split(np.arange(n), test_size=0.3, random_state=3, stratify=usps.y)[1]
    free = np.setdiff1d(np.arange(int(0.7 * n)), chose)
    rng, share = np.random.default_rng(0), round(1860 * n / n_all)
    test = rng.choice(free, share, replace=False), rng.choice(range(n, n_all), 1860 - share, False)
    rows = np.isin(np.arange(n_all), np.concatenate(test))
    X, y = np.concatenate([usps.X, usps.X_test]), np.concatenate([usps.y, usps.y_test])
    return Data(X[~rows], y[~rows], X[rows], y[rows])


def varied(data: Data, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The training images, and copies that are stretched, turned, slanted and moved by a pixel."""
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
    """Cross-entropy with smoothed labels: the true class has probability 0.91."""
    return F.cross_entropy(logits, y, label_smoothing=0.1)


def adapt(
    run: Experiment,
    name: str,
    key: str,
    pools: tuple[list[Any], list[Any]],
    here: Data,
    paper: Paper,
) -> Iterator[Cell]:
    """Unknown nets, a known net, random real images, and all real images."""
    train, held_out = pools
    adam = NeuralNetClassifier(LeNet, optimizer=torch.optim.Adam)
    schedule = {"n_per_class": 10, "n_steps": 10, "n_epochs": 3, "student": adam}
    distiller = DatasetDistiller(
        **schedule, init=train, labels="free", data_init="real", distill_lr=0.003, n_inits=1,
        outer_lr=0.05, step_size_rate=0.2, validation_fraction=0, max_iter=run.pick(200, 2000),
    )  # fmt: skip
    few_images = len(here.X) < 10_000  # few enough for nets to memorise them
    X, y = varied(here, run.seed) if few_images else (here.X, here.y)
    seconds = run.fit(f"adapt-{key}-unknown", distiller, X, y)
    few = held_out[:20]  # scoring after each step takes thirty times as long as at the end
    steps = distiller.evaluate(here.X_test, here.y_test, init=few, n_inits=len(few), each_step=True)
    yield cell(f"{name}: unknown nets, before", paper.before, steps.step_scores[0])
    scores = distiller.evaluate(
        here.X_test, here.y_test, init=held_out, n_inits=len(held_out)
    ).scores
    yield cell(f"{name}: unknown nets, after", paper.unknown, scores, seconds)
    run.save(overview(distiller, steps.step_scores, name), key)

    known = DatasetDistiller(**distiller.get_params(deep=False))
    known.set_params(max_iter=run.pick(100, 1000))
    if few_images:
        known.set_params(objective=smoothed)
    scores, seconds = [], []
    for i, net in enumerate(held_out[: run.pick(1, 3)]):  # each net has its own images
        known.set_params(init=[net])
        seconds.append(run.fit(f"adapt-{key}-known-{i}", known, X, y))
        scores.append(known.evaluate(here.X_test, here.y_test).mean)
    yield cell(f"{name}: one known net, after", paper.known, scores, float(np.mean(seconds)))

    real = [
        RandomSamples(**schedule, init=train, random_state=100 * run.seed + i).fit(here.X, here.y)
        for i in range(run.pick(3, 5))
    ]
    scores = [r.evaluate(here.X_test, here.y_test, init=few, n_inits=len(few)).scores for r in real]
    yield cell(f"{name}: unknown nets, random real images", paper.random, np.concatenate(scores))

    # For comparison: what all images of the target set give.
    n_tuned = run.pick(2, 3)
    tuned = train_pool(
        here.X, here.y, n_tuned, student=LeNet, init=train, n_epochs=8, lr=1e-3,
        random_state=run.seed,
    )  # fmt: skip
    before_any_step = distiller.evaluate(
        here.X_test, here.y_test, init=tuned, n_inits=n_tuned, each_step=True
    )
    yield cell(f"{name}: nets tuned on all images", "", before_any_step.step_scores[0])


if __name__ == "__main__":
    main(__file__, __doc__, measure)
