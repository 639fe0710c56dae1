"""Where the defaults of DatasetDistillerRegressor come from: each beside DatasetDistiller's.

    python benchmarks/regression.py

The scores are R² on a quarter of the training part that no fit has seen; the test parts are not
used. The table is docs/measured/regression.rst.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from pages import MACHINE, MEASURED, list_table
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistillerRegressor

SEEDS = range(3)
N_SAMPLES = 10
# To the defaults of DatasetDistiller, one by one; the last has as many trainings.
CHANGES: list[dict[str, Any]] = [
    {},
    {"labels": "hard"},
    {"data_init": "kmeans"},
    {"distill_lr": 0.3},
    {"max_iter": 2000},
    {"n_inits": 1, "max_iter": 4000},
]
DATA: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "diabetes": partial(load_diabetes, return_X_y=True),
    "friedman1": partial(make_friedman1, 1000, noise=1.0, random_state=0),
    "friedman2": partial(make_friedman2, 1000, noise=50.0, random_state=0),
    "friedman3": partial(make_friedman3, 1000, noise=0.1, random_state=0),
}


def score(X: np.ndarray, y: np.ndarray, seed: int, changes: dict[str, Any]) -> float:
    """Held-out R² of fresh students."""
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=seed)
    X, X_new, y, y_new = train_test_split(X, y, test_size=0.25, random_state=seed)
    distiller = DatasetDistillerRegressor(N_SAMPLES, random_state=seed, **changes)
    return distiller.fit(X, y).evaluate(X_new, y_new, n_inits=10).mean


def main() -> None:
    torch.set_num_threads(1)
    rows = [["changed", *DATA]]
    for changes in CHANGES:
        found = [[score(*load(), seed, changes) for seed in SEEDS] for load in DATA.values()]
        label = ", ".join(f"``{k}={v!r}``" for k, v in changes.items()) or "nothing"
        cells = [f"{np.mean(f):.3f} ± {np.std(f):.3f}" for f in found]
        rows.append([label, *(cell.replace("nan ± nan", "diverges") for cell in cells)])
        print(*rows[-1], flush=True)
    head = (
        f"R² of an MLP on held-out samples, {N_SAMPLES} synthetic samples, seeds {SEEDS[0]} to "
        f"{SEEDS[-1]}, one thread\nof a {MACHINE}. Mean ± standard deviation over seeds. *Nothing* "
        "stands for the defaults.\nThe last row has the same number of trainings.\n\n"
    )
    (MEASURED / "regression.rst").write_text(head + list_table(rows))


if __name__ == "__main__":
    main()
