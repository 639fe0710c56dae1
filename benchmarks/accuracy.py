"""Accuracy of distilled sets beside real samples: the tables in docs/measured.

    python benchmarks/accuracy.py [digits] [breast_cancer] [wine] [MNIST]

Digits, breast cancer and wine come with scikit-learn. MNIST comes from the folder that
SKLEARN_DD_DATA names, from ../shared/data, or from OpenML. Nothing is chosen on test data: each row
is one configuration, which is fitted once for each seed and scored once on that seed's test part.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from statistics import fmean, median, pstdev
from typing import NamedTuple

import numpy as np
import torch
from pages import MACHINE, MEASURED, image_set, list_table
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import (
    MLP,
    ConvNet,
    DatasetDistiller,
    LeNet,
    Ridge,
    Unrolled,
    pytorch_default,
)
from sklearn_dd._data import Standardize, student_shape

DRAWS, INITS = 4, 20  # of real samples, and of students, for each seed


class Split(NamedTuple):
    """Training and test part."""

    X: np.ndarray
    X_test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray


def bundled(load: Callable) -> Callable[[int], Split]:
    """A split with 30 % held out, a different part for each seed."""

    def split(seed: int) -> Split:
        X, y = load(return_X_y=True)
        return Split(*train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y))

    return split


def mnist(_: int) -> Split:
    """The standard split."""
    return Split(*image_set("mnist.npz", "mnist_784", 60000, 28))


class Data(NamedTuple):
    """What is measured on one data set."""

    split: Callable[[int], Split]
    student: type[nn.Module]
    seeds: range
    real: list[int]  # random samples of each class, for the baselines
    kmeans: list[int]
    distilled: list[dict]  # parameters of the distiller
    threads: int = 1  # more threads gain nothing for a small student


# Half of the time is for ridge regression, half for windows of a training with 100 steps of Adam.
CLOSED_FORM_FIRST = {
    "method": [Ridge(), Unrolled(window=10, micro_batch=128)], "n_epochs": 100,
    "distill_lr": 0.003, "optimizer": torch.optim.Adam, "labels": "soft", "data_init": "real",
    "n_inits": 1, "validation_fraction": 0, "max_iter": 10**6,
}  # fmt: skip

SIZES = [{"n_per_class": 1}, {"n_per_class": 5}]
DATA = {
    "digits": Data(
        bundled(load_digits), MLP, range(5), [1, 10, 100], [1, 10],
        [{"init": "fixed"}, {"n_per_class": 1}, {"n_per_class": 10}],
    ),
    "breast_cancer": Data(bundled(load_breast_cancer), MLP, range(5), [1, 5], [1, 5], SIZES),
    "wine": Data(bundled(load_wine), MLP, range(5), [1, 5], [1, 5], SIZES),
    # Chosen on 10,000 held-out training images.
    "MNIST": Data(
        mnist, LeNet, range(1), [1, 10], [1, 10],
        [
            {
                "init": "fixed", "student": LeNet, "labels": "free", "n_epochs": 5,
                "distill_lr": 0.1, "data_init": "noise", "step_size_rate": 1.0, "outer_lr": 0.025,
                "validation_fraction": 0, "max_iter": 10**6, "max_time": 170,
            },
            {
                **CLOSED_FORM_FIRST, "n_per_class": 10, "student": LeNet,
                "init": pytorch_default, "outer_lr": 0.02, "max_time": 240,
            },
            {
                **CLOSED_FORM_FIRST, "n_per_class": 1, "student": ConvNet,
                "outer_lr": 0.03, "max_time": 400,
            },
        ],
        os.cpu_count() or 1,
    ),
}  # fmt: skip


def random_rows(X: np.ndarray, y: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    members = [np.flatnonzero(y == c) for c in np.unique(y)]
    return np.concatenate([rng.choice(m, min(n, len(m)), replace=False) for m in members])


def centres(X: np.ndarray, y: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means centres of each class, of 2,000 samples at most."""
    rows = random_rows(X, y, 2000, np.random.default_rng(seed))
    flat, labels = X[rows].reshape(len(rows), -1), y[rows]
    found = [KMeans(n, n_init=1, random_state=seed).fit(flat[labels == c]) for c in np.unique(y)]
    z = np.concatenate([kmeans.cluster_centers_ for kmeans in found])
    return z.reshape(-1, *X.shape[1:]).astype(np.float32), np.repeat(np.unique(y), n)


class Real:
    """Students that Adam trains on real samples, or on their centres, until these are learned.

    Units, layout and student are the distiller's, so that only the samples differ.
    """

    def __init__(self, data: Data, seed: int) -> None:
        self.seed, self.student = seed, data.student
        X, X_test, self.y, self.y_test = data.split(seed)
        self.shape = student_shape(X.shape[1:], None)
        standardize = Standardize.fit(X.reshape(len(X), -1), X.shape[1:], self.shape)
        self.z, self.z_test = (
            np.concatenate([c.numpy() for c in standardize.chunks(a)]) for a in (X, X_test)
        )

    def random(self, n: int) -> list[float]:
        """Accuracies over draws of ``n`` samples of each class."""
        scores = []
        for i in range(DRAWS):
            rows = random_rows(self.z, self.y, n, np.random.default_rng([self.seed, i]))
            scores.append(self.score(self.z[rows], self.y[rows], i))
        return scores

    def kmeans(self, n: int) -> list[float]:
        """Accuracies over students on the same ``n`` centres of each class."""
        z, y = centres(self.z, self.y, n, self.seed)
        return [self.score(z, y, i) for i in range(DRAWS)]

    def score(self, z: np.ndarray, y: np.ndarray, init: int) -> float:
        torch.manual_seed(1000 * self.seed + init)
        student = NeuralNetClassifier(
            self.student,
            module__sample_shape=self.shape,
            module__n_classes=len(np.unique(self.y)),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=3e-3,
            batch_size=min(len(z), 128),
            max_epochs=200,
            iterator_valid__batch_size=1024,
            train_split=None,
            verbose=0,
        )
        return student.fit(z, y.astype(np.int64)).score(self.z_test, self.y_test)


def distil(data: Data, seed: int, parameters: dict) -> tuple[list[float], float]:
    """Test accuracies of fresh students, and the seconds of the fit."""
    X, X_test, y, y_test = data.split(seed)
    parameters = dict(parameters)
    if "optimizer" in parameters:
        parameters["student"] = NeuralNetClassifier(
            parameters["student"], optimizer=parameters.pop("optimizer")
        )
    start = time.perf_counter()
    distiller = DatasetDistiller(random_state=seed, **parameters).fit(X, y)
    seconds = time.perf_counter() - start
    evaluation = distiller.evaluate(X_test, y_test, n_inits=INITS)
    return list(evaluation.scores), seconds


def row(trained_on: str, by_seed: list[list[float]], what: str, fit: str = "") -> list[str]:
    """Mean over all scores, standard deviation within and between seeds."""
    means = [fmean(scores) for scores in by_seed]
    within = fmean(pstdev(scores) for scores in by_seed)
    spread = [f"± {within:.3f}" if len(by_seed[0]) > 1 else ""]
    spread += [f"± {pstdev(means):.3f}"] if len(means) > 1 else [""]
    over = f"{len(by_seed[0])} {what}" if len(by_seed[0]) > 1 else "one known net"
    return [trained_on, f"{fmean(means):.3f}", *spread, f"{min(means):.3f}", over, fit]


def rows(data: Data) -> Iterator[list[str]]:
    torch.set_num_threads(data.threads)
    real = [Real(data, seed) for seed in data.seeds]
    for n in data.real:
        yield row(f"{n} real", [r.random(n) for r in real], "draws")
    for n in data.kmeans:
        yield row(f"{n} k-means centres", [r.kmeans(n) for r in real], "nets")
    for parameters in data.distilled:
        runs = [distil(data, seed, parameters) for seed in data.seeds]
        named = ", ".join(f"{k}={getattr(v, '__name__', repr(v))}" for k, v in parameters.items())
        fit = f"{median(s for _, s in runs):.0f} s"
        yield row(f"distilled: ``{named}``", [scores for scores, _ in runs], "fresh inits", fit)


HEAD = [
    "trained on (samples of each class)", "test accuracy", "± over nets", "± over seeds",
    "worst seed", "over, for each seed", "fit",
]  # fmt: skip


def main() -> None:
    MEASURED.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DATA:
        data = DATA[name]
        threads = f"{data.threads} thread{'s' * (data.threads > 1)} of a {MACHINE}"
        head = f"{name}: seeds {data.seeds[0]} to {data.seeds[-1]}, {threads}.\n\n"
        found = [HEAD]
        for cells in rows(data):
            print(name, *cells, sep=" | ", flush=True)
            found.append(cells)  # written at once, so that a run that is stopped loses no row
            (MEASURED / f"{name}.rst").write_text(head + list_table(found))


if __name__ == "__main__":
    main()
