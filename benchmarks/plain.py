"""Accuracy of the plain call, with nothing but a size and a time limit: docs/measured/plain.rst.

    python benchmarks/plain.py [--seeds 3] [names...]

Nothing is set but n_per_class, max_time, random_state and, where a row says so, the student or
init="fixed" for a known net. MNIST, USPS and CIFAR-10 come from the folder that SKLEARN_DD_DATA
names, from ../shared/data, or (MNIST and USPS) from OpenML. Students are scored on test data, once,
and nothing is chosen on them. Then the same student learns from cheaper sets of the same size, and
from all training data. The scores are kept in docs/measured/plain.json. Only what is missing there
is measured: delete the file after a change of the library or of a row. Accuracy under a time limit
depends on the machine: measure on an idle one.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import numpy as np
import torch
from pages import MACHINE, ROOT, Store, image_set, list_table
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from tables import CHEAP, arguments_of, planned, whole
from threadpoolctl import threadpool_limits

from sklearn_dd import ConvNet, DatasetDistiller, LeNet

INITS = 20  # fresh students of each set
UNKNOWN = dict.fromkeys([*CHEAP, "whole"], math.nan)  # what has not been measured

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split_of(load: Callable) -> Callable[[int], Split]:
    """A bundled set with 30 % held out, a different part for each seed."""

    def split(seed: int) -> Split:
        X, y = load(return_X_y=True)
        return tuple(train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y))

    return split


def mnist(_: int) -> Split:
    return image_set("mnist.npz", "mnist_784", 60000, 28)


def usps(_: int) -> Split:
    return image_set("usps.npz", "USPS", 7291, 16)


def cifar10(_: int) -> Split:
    """The training images that are there, and the ten thousand of the test set, as JPEG copies."""
    from PIL import Image

    folder = Path(os.environ.get("SKLEARN_DD_DATA", ROOT.parent / "shared" / "data")) / "cifar10"
    with np.load(folder / "labels.npz") as f:
        y = f["y_train"].astype(np.int64)
    X = np.concatenate(
        [
            np.asarray(Image.open(path).convert("RGB"))
            .reshape(40, 32, 25, 32, 3)
            .swapaxes(1, 2)
            .reshape(1000, 32, 32, 3)
            for path in sorted(folder.glob("train-*.webp"))
        ]
    )
    with np.load(folder / "test10k_jpeg.npz") as f:
        raw, at, y_test = f["jpeg"].tobytes(), f["offsets"], f["y"].astype(np.int64)
    X_test = np.stack([np.asarray(Image.open(io.BytesIO(raw[a:b]))) for a, b in pairwise(at)])
    return X, X_test, y, y_test


class Row(NamedTuple):
    """One call."""

    split: Callable[[int], Split]
    parameters: dict[str, Any]
    n_seeds: int = 3


ROWS = {
    "MNIST, 10 per class": Row(mnist, {"n_per_class": 10, "max_time": 280}),
    "MNIST, 1 per class": Row(mnist, {"n_per_class": 1, "max_time": 280}),
    "MNIST, 1 per class, one known net": Row(
        mnist, {"n_per_class": 1, "max_time": 170, "init": "fixed"}
    ),
    "USPS, 10 per class": Row(usps, {"n_per_class": 10, "max_time": 120}),
    "CIFAR-10, 10 per class": Row(cifar10, {"n_per_class": 10, "max_time": 280}),
    **{
        f"MNIST, 10 per class, {student.__name__}": Row(
            mnist, {"n_per_class": 10, "max_time": 280, "student": student}, 1
        )
        for student in (LeNet, ConvNet)
    },
    "digits, 1 per class": Row(split_of(load_digits), {"n_per_class": 1, "max_time": 60}, 5),
    "digits, 10 per class": Row(split_of(load_digits), {"n_per_class": 10, "max_time": 60}, 5),
    "digits, 1 per class, one known net": Row(
        split_of(load_digits), {"n_per_class": 1, "max_time": 60, "init": "fixed"}, 5
    ),
    **{
        f"{name}, {n} per class": Row(split_of(load), {"n_per_class": n, "max_time": 20}, 5)
        for name, load in (("breast cancer", load_breast_cancer), ("wine", load_wine))
        for n in (1, 5)
    },
}


def measure(row: Row, seed: int) -> dict[str, Any]:
    """The plain call."""
    X, X_test, y, y_test = row.split(seed)
    began = time.perf_counter()
    distiller = DatasetDistiller(random_state=seed, **row.parameters).fit(X, y)
    seconds = time.perf_counter() - began
    scores = distiller.evaluate(X_test, y_test, n_inits=INITS).scores
    return {
        "scores": scores.tolist(), "seconds": seconds, "iterations": distiller.n_iter_,
        "ended": distiller.stop_reason_, "step size": distiller.plan_["distill_lr"],
    }  # fmt: skip


def beside(row: Row, seed: int) -> dict[str, float]:
    """Mean accuracy of the same student on cheaper sets of the same size, and on all samples."""
    X, X_test, y, y_test = row.split(seed)
    plan = planned({**row.parameters, "random_state": seed}, X, y)
    student = partial(plan.recipe_.spec().module, **arguments_of(plan))
    settings = {k: v for k, v in row.parameters.items() if k not in ("max_time", "student")}
    schedule = {name: plan.plan_[name] for name in ("n_steps", "n_epochs")}
    found = {}
    for label, kind in CHEAP.items():
        baseline = kind(random_state=seed, student=student, **settings, **schedule).fit(X, y)
        found[label] = baseline.evaluate(X_test, y_test, n_inits=INITS).mean
    found["whole"] = float(np.mean(whole(plan, X, y, X_test) == y_test))
    return found


def table(kept: dict[str, dict[str, Any]]) -> str:
    head = (
        "``DatasetDistiller(n_per_class=..., max_time=..., random_state=seed)``, one fit for each\n"
        f"seed; test accuracy over {INITS} fresh students (one, if the net is known). MNIST, USPS\n"
        "and CIFAR-10 have their standard test set (CIFAR-10 as JPEG copies, from the folder that\n"
        "``SKLEARN_DD_DATA`` names), the others a random 30 %. ± is the standard\n"
        "deviation, over students or seeds. *Best cheap set*: the same students on k-means\n"
        "centres, random samples, class means, herding or k-centres, the best on the test data.\n"
        f"*All*: the student on all training samples. One thread of a {MACHINE}.\n\n"
    )
    rows = [["data", "limit, s", "accuracy", "over students", "over seeds", "worst seed",
             "best cheap set", "all", "fit, s", "iterations"]]  # fmt: skip
    for name in filter(kept.__contains__, ROWS):
        found = [*kept[name].values()]
        means = [fmean(f["scores"]) for f in found]
        between = f"± {pstdev(means):.3f} ({len(means)})" if len(means) > 1 else "(1)"
        others = [f["beside"] for f in found if "beside" in f] or [UNKNOWN]
        rows.append(
            [name, str(ROWS[name].parameters["max_time"]), f"{fmean(means):.3f}",
             f"± {fmean(pstdev(f['scores']) for f in found):.3f}", between, f"{min(means):.3f}",
             shown(max(fmean(o[label] for o in others) for label in CHEAP)),
             shown(fmean(o["whole"] for o in others)),
             f"{fmean(f['seconds'] for f in found):.0f}",
             f"{fmean(f['iterations'] for f in found):.0f}"]
        )  # fmt: skip
    return head + list_table(rows)


def shown(accuracy: float) -> str:
    return "" if math.isnan(accuracy) else f"{accuracy:.3f}"


KEPT = Store("plain", table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of rows; all without")
    parser.add_argument("--seeds", type=int, help="number of seeds, in place of a row's own")
    arguments = parser.parse_args()
    names = arguments.names or [""]
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name, row in ROWS.items():
            for seed in range(arguments.seeds or row.n_seeds):
                if name.startswith(tuple(names)):
                    complete(name, row, seed)


def complete(name: str, row: Row, seed: int) -> None:
    """Measure what is missing."""
    if "scores" not in KEPT(name, seed):
        found = measure(row, seed)
        print(name, seed, f"{fmean(found['scores']):.4f}", found["ended"], flush=True)
        KEPT.keep((name, seed), found)
    if "beside" not in KEPT(name, seed):
        others = beside(row, seed)
        print(name, seed, others, flush=True)
        KEPT.keep((name, seed), {"beside": others})


if __name__ == "__main__":
    main()
