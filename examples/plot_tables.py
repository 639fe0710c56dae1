"""
Tables: a handful of rows instead of all
========================================

Distillation is not only for images. Here two tables are reduced to one or a few rows of each class.
On data this easy, simple choices of rows are strong, so they are measured as well: random real rows,
and the k-means centres of each class.
"""

# %%
# The data
# --------
# Breast cancer has 30 features and two classes, wine has 13 features and three classes.

import matplotlib.pyplot as plt
import numpy as np
import torch
from skorch import NeuralNetClassifier
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay
from sklearn_dd.modules import MLP

tables = {"breast cancer": load_breast_cancer(as_frame=True), "wine": load_wine(as_frame=True)}
sizes = [1, 2, 5]
seeds = range(4)

# %%
# The protocol
# ------------
# Every method is given the same training set, chooses or makes the same number of rows, and is scored
# by the same network on the same test set. The distiller says how a student is to be trained; for the
# other rows the network is trained with Adam until the training loss has vanished. Each seed draws
# another split, other rows and other weights.


def distilled(X, y, n_per_class, seed):
    """Rows made by the distiller, and the mean accuracy of its students."""
    distiller = DatasetDistiller(
        n_per_class, data_init="kmeans", max_iter=60, n_inits=4, random_state=seed
    ).fit(X, y)
    return lambda X_test, y_test: distiller.evaluate(X_test, y_test, n_inits=10).mean


def random_rows(X, y, n_per_class, seed):
    rng = np.random.default_rng(seed)
    X, y = X.to_numpy(), y.to_numpy()
    rows = [rng.choice(np.flatnonzero(y == c), n_per_class, replace=False) for c in np.unique(y)]
    return train_on(X, X[np.concatenate(rows)], np.repeat(np.unique(y), n_per_class), seed)


def centres(X, y, n_per_class, seed):
    X, y = X.to_numpy(), y.to_numpy()
    scale = StandardScaler().fit(X)
    rows = [
        KMeans(n_per_class, n_init=3, random_state=seed).fit(scale.transform(X[y == c]))
        for c in np.unique(y)
    ]
    rows = scale.inverse_transform(np.concatenate([k.cluster_centers_ for k in rows]))
    return train_on(X, rows, np.repeat(np.unique(y), n_per_class), seed)


def train_on(X, rows, target, seed):
    """The student network, trained on some rows, in units that all of ``X`` is standardised in."""
    torch.manual_seed(seed)
    scale = StandardScaler().fit(X)
    net = NeuralNetClassifier(
        MLP,
        module__sample_shape=X.shape[1:],
        module__n_classes=len(np.unique(target)),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        batch_size=64,
        max_epochs=150,
        train_split=None,
        verbose=0,
    )
    as_float = FunctionTransformer(np.float32)
    net.fit(as_float.transform(scale.transform(rows)), target)
    return make_pipeline(scale, as_float, net).score


# %%
# The comparison
# --------------

methods = {"distilled": distilled, "k-means centres": centres, "random rows": random_rows}
scores = {}
for table, data in tables.items():
    for seed in seeds:
        X, X_test, y, y_test = train_test_split(
            data.data, data.target, test_size=0.3, random_state=seed, stratify=data.target
        )
        for name, method in methods.items():
            for size in sizes:
                score = method(X, y, size, seed)
                scores.setdefault((table, name, size), []).append(score(X_test.to_numpy(), y_test))
