"""
A grid search on dask
=====================

The fits of this grid search run on a dask cluster::

    pip install "dask[distributed]"
    OMP_NUM_THREADS=1 python examples/grid_search_on_dask.py

The script starts a local cluster of two processes. To use a cluster of your own, pass the address
of its scheduler to ``Client``.
"""

import os
import sys

import joblib
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from sklearn_dd import DatasetDistiller

# The package dask.distributed imports a package named distributed, which must not be the file
# distributed.py of this folder.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [folder for folder in sys.path if os.path.abspath(folder) != HERE]

try:
    from dask.distributed import Client
except ImportError:
    raise SystemExit("Skipped: dask is missing. Install dask[distributed].") from None


def main() -> None:
    X, y = load_wine(return_X_y=True)
    search = GridSearchCV(
        DatasetDistiller(n_per_class=2, max_iter=50, random_state=0),
        {"n_steps": [1, 2], "n_epochs": [5, 10]},
        cv=3,
    )
    with Client(n_workers=2, threads_per_worker=1), joblib.parallel_backend("dask"):
        search.fit(X, y)
    print(search.best_params_, f"{search.best_score_:.3f}")


if __name__ == "__main__":  # the workers import this file
    main()
