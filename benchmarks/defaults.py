"""Where the defaults of DatasetDistiller come from: changes of one base, at equal time.

    python benchmarks/defaults.py [digits] [MNIST] [USPS] [breast_cancer] [wine]

Every fit has the same number of seconds. The scores are on a quarter of the training part that no
fit has seen. The test parts are not used. The table is docs/measured/defaults.rst. The scores are
kept in docs/measured/defaults.json, and rows that are there are not measured again, so that a run
that was stopped can be continued.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from pages import MACHINE, MEASURED, image_set, list_table
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split

from sklearn_dd import MLP, DatasetDistiller

SECONDS, SEEDS, MAX_ROWS = 8.0, range(3), 20_000

# Where the table began. The defaults were chosen from the table. All other parameters have the
# defaults of today.
BASE = {"data_init": "real", "n_inits": 4}
CHANGES: list[dict[str, Any]] = [
    {},
    *({"method": method} for method in ("ridge", "distribution", "gradient")),
    *({"labels": labels} for labels in ("soft", "free")),
    {"labels": "free", "n_epochs": 3},
    *({"data_init": start} for start in ("noise", "kmeans", "mean")),
    *({"distill_lr": lr} for lr in (0.1, 1.0)),
    *({"step_size_rate": rate} for rate in (0.0, 1.0)),
    *({"outer_lr": lr} for lr in (0.02, 0.1)),
    *({"n_epochs": n} for n in (3, 30)),
    *({"n_inits": n} for n in (1, 16)),
    {"data_init": "kmeans", "n_inits": 1},
    {"data_init": "kmeans", "n_inits": 1, "outer_lr": 0.1},
    {"data_init": "kmeans", "n_inits": 1, "step_size_rate": 1.0},
]


def bundled(load: Callable) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    return lambda: load(return_X_y=True)


def images(file: str, openml: str, n_train: int, side: int) -> Callable:
    """A function that loads the training part of a set of images, flat."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        X, _, y, _ = image_set(file, openml, n_train, side)
        return X.reshape(len(X), -1), y

    return load


DATA = {
    "digits": bundled(load_digits),
    "MNIST": images("mnist.npz", "mnist_784", 60000, 28),
    "USPS": images("usps.npz", "USPS", 7291, 16),
    "breast_cancer": bundled(load_breast_cancer),
    "wine": bundled(load_wine),
}


def split_off(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
    """X, X_new, y, y_new: X_new is a quarter of the training part; the test part is dropped."""
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    return train_test_split(X[:MAX_ROWS], y[:MAX_ROWS], test_size=0.25, random_state=seed)


def score(X: np.ndarray, y: np.ndarray, seed: int, changes: dict[str, Any]) -> float:
    """Held-out accuracy of fresh students after a fit of ``SECONDS``."""
    X, X_new, y, y_new = split_off(X, y, seed)
    distiller = DatasetDistiller(
        student=MLP, random_state=seed, max_iter=10**6, max_time=SECONDS, **(BASE | changes)
    )
    return distiller.fit(X, y).evaluate(X_new, y_new, n_inits=10).mean


def table(scores: dict[str, dict[str, list[float]]]) -> str:
    """The reStructuredText of all scores."""
    names = [name for name in DATA if name in scores]
    head = (
        f"MLP, 1 sample of each class, {SECONDS:.0f} s for each fit, seeds {SEEDS[0]} to "
        f"{SEEDS[-1]}, one thread of a {MACHINE}. Mean ± standard deviation over seeds.\n"
        f"*Nothing* stands for the defaults, but with ``{BASE}``. Every other row changes what it\n"
        "names.\n\n"
    )
    rows = [["changed", *names, "mean"]]
    for label in dict.fromkeys(label for by_label in scores.values() for label in by_label):
        found = [scores[name].get(label) for name in names]
        cells = [f"{fmean(f):.3f} ± {pstdev(f):.3f}" if f else "" for f in found]
        rows.append([label, *cells, f"{fmean(map(fmean, found)):.3f}" if all(found) else ""])
    return head + list_table(rows)


def main() -> None:
    torch.set_num_threads(1)
    file = MEASURED / "defaults.json"
    for name in sys.argv[1:] or DATA:
        X, y = DATA[name]()
        for changes in CHANGES:
            scores = json.loads(file.read_text()) if file.exists() else {}
            label = ", ".join(f"``{k}={v!r}``" for k, v in changes.items()) or "nothing"
            if label in scores.setdefault(name, {}):
                continue
            found = [score(X, y, seed, changes) for seed in SEEDS]
            print(name, label, *(f"{s:.3f}" for s in found), flush=True)
            scores = json.loads(file.read_text()) if file.exists() else scores
            scores.setdefault(name, {})[label] = found
            file.write_text(json.dumps(scores, indent=1))
            (MEASURED / "defaults.rst").write_text(table(scores))


if __name__ == "__main__":
    main()
