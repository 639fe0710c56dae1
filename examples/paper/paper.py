"""What the scripts of this folder share: data, fits that can be continued, and results."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.datasets import fetch_openml
from torch.nn import functional as F

from sklearn_dd import (
    DatasetDistiller,
    DistilledImagesDisplay,
    LearningRatesDisplay,
    train_pool,
)
from sklearn_dd._distilled import describe

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "paper"  # JSON and figures, of which docs/paper.md is made
KEPT = Path(__file__).parent / "kept"  # fits and pools of nets, so that a run can be continued
DATA = Path(os.environ.get("SKLEARN_DD_DATA", ROOT.parent / "shared" / "data"))
OPENML = {"mnist": ("mnist_784", 60000), "usps": ("usps", 7291), "cifar10": ("CIFAR_10", 50000)}
# Empty pixels around images that are resized to 28 x 28. The paper's copy of USPS has a mean of
# 0.160, with which the authors standardise it. The mean is 0.157 with this margin and 0.255
# without.
MARGINS = {"usps": 3}
MISSING = (
    "{name} is neither at {path} nor on OpenML. Put a file there with the arrays x_train, y_train, "
    "x_test and y_test, or name another folder in SKLEARN_DD_DATA."
)


class Data(NamedTuple):
    """The standard split of a data set."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Cell(NamedTuple):
    """A result beside the paper's. Accuracies are fractions; the paper's are in per cent."""

    what: str
    paper: str
    mean: float
    std: float
    n_scores: int
    seconds: float | None = None  # of the fit, for its first cell only
    unit: str = "%"


def cell(what: str, paper: str, scores: Any, seconds: float | None = None) -> Cell:
    """The cell of the scores of some nets."""
    return Cell(
        what, paper, float(np.mean(scores)), float(np.std(scores)), np.size(scores), seconds
    )


def load(name: str, side: int | None = None) -> Data:
    """A data set from the folder of data sets, or from OpenML; ``side`` resizes grey images."""
    path = DATA / f"{name}.npz"
    if name == "cifar10" and (DATA / name).is_dir():
        data = _cifar10(DATA / name)
    elif path.exists():
        with np.load(path) as f:
            data = Data(*(f[key] for key in ("x_train", "y_train", "x_test", "y_test")))
    elif name in OPENML:
        data = _openml(*OPENML[name], colour=name == "cifar10")
    else:
        raise SystemExit(MISSING.format(name=name, path=path))
    if side is not None:
        margin = MARGINS.get(name, 0)
        X, X_test = (grey(images, side, margin) for images in (data.X, data.X_test))
        data = data._replace(X=X, X_test=X_test)
    return data


def grey(X: np.ndarray, side: int, margin: int = 0) -> np.ndarray:
    """Images (n, height, width[, 3]) as grey ones (n, side, side)."""
    if X.ndim == 4:
        X = X @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
    x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))[:, None]
    inner = (side - 2 * margin,) * 2
    x = F.interpolate(x, inner, mode="bilinear", align_corners=False)
    return F.pad(x, (margin,) * 4)[:, 0].numpy()


def _openml(name: str, n_train: int, colour: bool) -> Data:
    X, y = fetch_openml(name, return_X_y=True, as_frame=False)
    X, y = (X.reshape(-1, 3, 32, 32) if colour else _square(X)), y.astype(int)
    return Data(X[:n_train], y[:n_train] - y.min(), X[n_train:], y[n_train:] - y.min())


def _square(X: np.ndarray) -> np.ndarray:
    side = round(X.shape[1] ** 0.5)
    return X.reshape(-1, side, side)


def _cifar10(folder: Path) -> Data:
    """CIFAR-10 from sheets of 1,000 lossless images, with JPEG copies of the test images."""
    from PIL import Image  # installed with matplotlib; only this folder needs it

    def sheet(path: Path) -> np.ndarray:
        image = np.asarray(Image.open(path).convert("RGB"))
        return image.reshape(40, 32, 25, 32, 3).swapaxes(1, 2).reshape(1000, 32, 32, 3)

    X = np.concatenate([sheet(path) for path in sorted(folder.glob("train-*.webp"))])
    with np.load(folder / "labels.npz") as f:
        y = f["y_train"].astype(int)
    with np.load(folder / "test10k_jpeg.npz") as f:
        raw, offsets, y_test = f["jpeg"].tobytes(), f["offsets"].tolist(), f["y"].astype(int)
    images = [Image.open(io.BytesIO(raw[a:b])) for a, b in pairwise(offsets)]
    X_test = np.stack([np.asarray(image) for image in images])
    return Data(X, y, X_test, y_test)


class Experiment:
    """One run of one script: its settings, its files and its results.

    Parameters
    ----------
    name : str
        Name of the script.
    quick : bool
        Whether to take minutes on two CPU cores in place of hours.
    seed : int
        Seed of all draws.
    """

    def __init__(self, name: str, quick: bool, seed: int) -> None:
        self.name, self.quick, self.seed = name, quick, seed
        self.settings = "quick" if quick else "full"
        self.remark = ""  # text below the table
        self.kept = KEPT / f"{self.settings}-{seed}"
        self.kept.mkdir(parents=True, exist_ok=True)
        RESULTS.mkdir(parents=True, exist_ok=True)

    def pick(self, quick: Any, full: Any) -> Any:
        """The value for these settings."""
        return quick if self.quick else full

    def fit(self, name: str, distiller: DatasetDistiller, X: Any, y: Any) -> float:
        """Fit, and return the seconds of all runs of this fit together.

        A fit that was stopped continues from its checkpoint. A fit that is complete is not repeated
        unless data or parameters have changed.
        """
        distiller.set_params(random_state=self.seed)
        name = f"{name}-{_digest(distiller, X, y)}"
        checkpoint, clock = self.kept / f"{name}.checkpoint", self.kept / f"{name}.seconds"
        result = self.kept / f"{name}.result"
        if result.exists():
            vars(distiller).update(joblib.load(result))
            return float(clock.read_text())
        distiller.set_params(checkpoint=checkpoint, checkpoint_every=50, verbose=1)
        with stopwatch(clock), warnings.catch_warnings():
            # Ctrl-C ends the whole script, because a fit that is cut short is no result.
            warnings.filterwarnings("error", message="Interrupted")
            distiller.fit(X, y, resume_from=checkpoint if checkpoint.exists() else None)
        part = result.with_suffix(".new")
        joblib.dump(vars(distiller), part)
        part.replace(result)
        return float(clock.read_text())

    def pools(
        self, name: str, student: Any, X: Any, y: Any, n_train: int, n_held_out: int, **how: Any
    ) -> tuple[list[Any], list[Any]]:
        """Pre-trained nets to distil for, and others to score with."""
        train, held_out = (
            train_pool(
                X, y, n, student=student, folder=self.kept / f"{name}-{part}", verbose=1,
                n_jobs=None if torch.cuda.is_available() else -1,
                random_state=2 * self.seed + seed, **how,
            )
            for part, n, seed in (("train", n_train, 1), ("held-out", n_held_out, 2))
        )  # fmt: skip
        return train, held_out

    def save(self, figure: Figure, what: str) -> None:
        """Write a figure for the page."""
        figure.savefig(RESULTS / f"{self.name}-{what}-{self.settings}.png", dpi=120)

    def write(self, title: str, cells: Iterable[Cell]) -> None:
        """Write each cell as soon as it is there, so that a run that is stopped loses none."""
        path = RESULTS / f"{self.name}-{self.settings}.json"
        found = {
            "title": title,
            "command": f"python examples/paper/{self.name}.py" + " --quick" * self.quick,
            "seed": self.seed,
            "machine": machine(),
            "cells": [],
        }
        with stopwatch(self.kept / f"{self.name}.seconds") as seconds:
            for found_cell in cells:
                found["cells"].append(found_cell._asdict())
                found["remark"] = self.remark
                _write(path, found | {"seconds": seconds()})
                mean, std, n = found_cell.mean, found_cell.std, found_cell.n_scores
                print(
                    f"{found_cell.what}: {mean:.3f} ± {std:.3f}, {n} scores ({found_cell.paper})",
                    flush=True,
                )
            if found["cells"]:
                _write(path, found | {"seconds": seconds()})


def _write(path: Path, found: dict[str, Any]) -> None:
    _replace(path, json.dumps(found, indent=1) + "\n")


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")  # so that nobody reads half a file
    new.write_text(text)
    new.replace(path)


@contextmanager
def stopwatch(file: Path) -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds of all runs so far; the file keeps them."""
    before = float(file.read_text()) if file.exists() else 0.0
    start = time.monotonic()

    def seconds() -> float:
        return before + time.monotonic() - start

    try:
        yield seconds
    finally:
        _replace(file, str(seconds()))


def _digest(distiller: DatasetDistiller, X: Any, y: Any) -> str:
    """A digest of all that the result of a fit depends on."""
    free = ("checkpoint", "checkpoint_every", "verbose")
    params = {k: v for k, v in distiller.get_params(deep=False).items() if k not in free}
    student = getattr(distiller.student, "get_params", dict)()  # of a skorch net
    return joblib.hash([describe(params), describe(student), X, y])[:8]


def overview(distiller: DatasetDistiller, step_scores: np.ndarray, title: str) -> Figure:
    """The images by step, their step sizes, and the accuracy after each step."""
    figure = plt.figure(figsize=(10, 6), layout="constrained")
    grid = figure.subplot_mosaic(
        [["images", "sizes"], ["images", "accuracy"]], width_ratios=[1, 1.5]
    )
    DistilledImagesDisplay.from_estimator(distiller, ax=grid["images"])
    LearningRatesDisplay.from_estimator(distiller, ax=grid["sizes"])
    steps = np.arange(len(step_scores))
    mean, spread = step_scores.mean(axis=1), step_scores.std(axis=1)
    grid["accuracy"].plot(steps, mean)
    grid["accuracy"].fill_between(steps, mean - spread, mean + spread, alpha=0.3)
    grid["accuracy"].set(xlabel="gradient step t", ylabel="test accuracy", ylim=(0, 1))
    grid["accuracy"].xaxis.get_major_locator().set_params(integer=True)
    grid["accuracy"].spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


def machine() -> str:
    """Hardware and versions, for the line above a table."""
    where = f"CPU with {os.cpu_count()} cores, threads: {torch.get_num_threads()}"
    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    return f"{where}, Python {platform.python_version()}, torch {torch.__version__}"


def close_when_terminated() -> None:
    """Let ``kill`` end a program as Ctrl-C does, so that files and processes are closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main(file: str, doc: str, measure: Callable[[Experiment], Iterator[Cell]]) -> None:
    """Read the command line and run one script."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="minutes on two CPU cores")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    close_when_terminated()
    experiment = Experiment(Path(file).stem, given.quick, given.seed)
    experiment.write(doc.splitlines()[0], measure(experiment))
