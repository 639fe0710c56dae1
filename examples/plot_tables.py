"""
Tables: a handful of rows instead of all
========================================

Distillation is not only for images. Here two tables are reduced to one or a few rows of each
class. On data this easy, simple choices of rows are strong, so they are measured as well: random
real rows, and the k-means centres of each class.
"""

# %%
# The data
# --------
# Breast cancer has 30 features and two classes, wine has 13 features and three classes.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay
from sklearn_dd.modules import MLP

torch.set_num_threads(1)  # so small a network gains nothing from more

tables = {"breast cancer": load_breast_cancer(as_frame=True), "wine": load_wine(as_frame=True)}
sizes = [1, 5]
seeds = range(3)

# %%
# The protocol
# ------------
# Every method is given the same training set, chooses or makes the same number of rows, and is
# scored by the same network on the same test set. The distiller says how a student is to be
# trained; for the other rows the network is trained with Adam until the training loss has
# vanished. Each seed draws another split, other rows and other weights.


def distilled(X, y, n_per_class, seed):
    """Rows made by the distiller, and the mean accuracy of its students."""
    distiller = DatasetDistiller(
        n_per_class, max_iter=120, n_inits=4, distill_lr=0.3, random_state=seed
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
    net.fit(scale.transform(rows).astype(np.float32), target)
    return lambda X_test, y_test: net.score(
        scale.transform(X_test.to_numpy()).astype(np.float32), y_test
    )


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
                score = method(X, y, size, seed)(X_test, y_test)
                scores.setdefault((table, name, size), []).append(score)
        score = train_on(X.to_numpy(), X.to_numpy(), y.to_numpy(), seed)(X_test, y_test)
        scores.setdefault((table, "all rows", None), []).append(score)

print("Test accuracy, mean ± standard deviation over seeds")
for (table, name, size), values in scores.items():
    what = name if size is None else f"{name}, {size} of each class"
    print(f"{table:<15}{what:<36}{np.mean(values):.3f} ± {np.std(values):.3f}")

# %%
# The bars are one standard deviation over the seeds. Whether distillation is worth its time
# depends on the data: k-means takes milliseconds.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
for ax, table in zip(axes, tables, strict=True):
    for i, name in enumerate(methods):
        values = np.array([scores[table, name, size] for size in sizes])
        where = np.arange(len(sizes)) + (i - 1) * 0.12
        ax.errorbar(where, values.mean(1), values.std(1), fmt="o", capsize=3, label=name)
    ax.axhline(np.mean(scores[table, "all rows", None]), color="0.6", ls="--", label="all rows")
    ax.set(title=table, xlabel="rows of each class", xlim=(-0.5, len(sizes) - 0.5))
    ax.set_xticks(range(len(sizes)), sizes)
axes[0].set_ylabel("test accuracy")
axes[1].legend(loc="lower right")

# %%
# What the rows look like
# -----------------------
# ``X_syn`` is in the units of the table. The picture shows it in standard deviations from the mean
# of each column, in which the columns can be compared.

wine = tables["wine"]
distiller = DatasetDistiller(max_iter=100, random_state=0).set_output(transform="pandas")
X_syn, y_syn, lrs = distiller.fit(wine.data, wine.target).transform()
print(X_syn.iloc[:, :4].round(2))

DistilledImagesDisplay.from_estimator(distiller, display_labels=wine.target_names)
plt.show()
