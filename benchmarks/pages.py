"""What the benchmarks share: sets of images, kept figures, and tables for the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.datasets import fetch_openml

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
MACHINE = (
    f"CPU with {os.cpu_count()} cores, Python {platform.python_version()},\n"
    f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
)


class Store:
    """Figures in a JSON file, each under its keys, and the page that shows them.

    Figures of another version of the library are not told apart: delete the file after a change.
    """

    def __init__(self, name: str, page: Callable[[dict[str, Any]], str]) -> None:
        self.json, self.rst = (MEASURED / f"{name}.{kind}" for kind in ("json", "rst"))
        self.page = page

    def __call__(self, *keys: Any) -> dict[str, Any]:
        """What is kept under some of the keys."""
        found = json.loads(self.json.read_text()) if self.json.exists() else {}
        for key in keys:
            found = found.get(str(key), {})
        return found

    def keep(self, keys: Iterable[Any], figures: dict[str, Any]) -> None:
        """Add figures to those under the keys, and write the page."""
        MEASURED.mkdir(exist_ok=True)
        kept = at = self()
        for key in keys:
            at = at.setdefault(str(key), {})
        at.update(figures)
        self.json.write_text(json.dumps(kept, indent=1) + "\n")
        self.rst.write_text(self.page(kept))


def list_table(rows: Iterable[Iterable[str]]) -> str:
    """A reStructuredText table. The first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for cells in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {c}".rstrip() for i, c in enumerate(cells)]
    return "\n".join(lines) + "\n"


Scores = dict[str, float]
"""Model -> score."""


def mean_of(scores: list[Scores]) -> Scores:
    """The mean of each model."""
    return {name: fmean(each[name] for each in scores) for name in scores[0]}


def sizes_of(found: dict[str, Any]) -> list[int]:
    """The sizes of small sets that were measured: set -> seed -> size, or 0 for all rows."""
    return sorted({int(n) for by in found.values() for v in by.values() for n in v} - {0})


def table_of_models(found: dict[str, Any], n: int, columns: list[str]) -> list[list[str]]:
    """A row for each model: means over the sets that have all methods."""
    sets = []
    for by_seed in found.values():
        seeds = [v[str(n)] | v["0"] for v in by_seed.values() if str(n) in v and "0" in v]
        seeds = [v for v in seeds if set(columns) <= set(v)]
        if seeds:
            sets.append({method: mean_of([v[method] for v in seeds]) for method in columns})
    rows = [[f"model ({len(sets)} sets)", *columns]]
    for model in sets[0][columns[0]] if sets else ():
        rows.append([model, *(f"{fmean(s[m][model] for s in sets):.3f}" for m in columns)])
    if sets:
        means = (fmean(fmean(s[m].values()) for s in sets) for m in columns)
        rows.append(["mean", *(f"{value:.3f}" for value in means)])
    return rows


def keep_scores(kept: Store, keys: tuple[Any, ...], scores: dict[str, Scores]) -> None:
    """Print the scores of each method, and keep them."""
    for method, each in scores.items():
        print(*keys, method, *(f"{v:.3f}" for v in each.values()), f"{fmean(each.values()):.3f}",
              sep=" | ", flush=True)  # fmt: skip
    kept.keep(keys, scores)


def image_set(
    file: str, openml: str, n_train: int, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The standard split X, X_test, y, y_test; images (n, side, side)."""
    path = Path(os.environ.get("SKLEARN_DD_DATA", ROOT.parent / "shared" / "data")) / file
    if path.exists():
        with np.load(path) as f:
            return f["x_train"], f["x_test"], f["y_train"], f["y_test"]
    X, y = fetch_openml(openml, return_X_y=True, as_frame=False)
    X, y = X.reshape(-1, side, side), y.astype(int)
    return X[:n_train], X[n_train:], y[:n_train], y[n_train:]
