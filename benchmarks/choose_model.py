"""Is the model that is best on a hundred distilled digits also good on all digits?

    python benchmarks/choose_model.py

28 models learn from the distilled digits of the package, from a hundred random digits, and from
half of the training digits. Each search scores them on training digits. It is compared with the
test accuracy of the same models after learning from all training digits: by the rank correlation,
and by the regret, which is what the chosen model lacks to the best.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_dd import RandomSamples, load_distilled_digits

GRIDS = {
    SVC: {"C": [0.1, 1, 10], "gamma": [0.001, 0.01, 0.1]},
    KNeighborsClassifier: {"n_neighbors": [1, 3, 9]},
    LogisticRegression: {"C": [0.001, 0.1, 10], "max_iter": [2000]},
    RandomForestClassifier: {
        "max_depth": [2, 5, None], "max_features": [0.1, "sqrt"], "random_state": [0],
    },
    DecisionTreeClassifier: {"max_depth": [3, 5, 10, None], "random_state": [0]},
    GaussianNB: {"var_smoothing": [1e-9, 1e-3, 0.1]},
}  # fmt: skip
MODELS = [kind(**values) for kind, grid in GRIDS.items() for values in ParameterGrid(grid)]
SEEDS = range(3)  # of random samples


def scores(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray) -> np.ndarray:
    """The accuracy of each model after learning from a set."""
    return np.array([model.fit(X, y).score(X_new, y_new) for model in MODELS])


def main() -> None:
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X)
    Z, Z_test = scaler.transform(X), scaler.transform(X_test)
    in_the_end = scores(Z, y, Z_test, y_test)
    half, other, y_half, y_other = train_test_split(Z, y, test_size=0.5, random_state=0, stratify=y)
    searches = {"distilled": (load_distilled_digits(10), Z, y)}
    for seed in SEEDS:
        small = RandomSamples(10, random_state=seed).fit_transform(X, y)
        searches[f"random {seed}"] = small, Z, y
    for name, (small, X_new, y_new) in searches.items():
        X_small, y_small, _ = small
        report(name, scores(scaler.transform(X_small), y_small, X_new, y_new), in_the_end)
    report("half of all", scores(half, y_half, other, y_other), in_the_end)


def report(name: str, found: np.ndarray, in_the_end: np.ndarray) -> None:
    best = int(found.argmax())
    print(
        f"{name:12} rank correlation {spearmanr(found, in_the_end)[0]:.2f}, "
        f"regret {100 * (in_the_end.max() - in_the_end[best]):.1f} points: {MODELS[best]}",
        flush=True,
    )


if __name__ == "__main__":
    main()
