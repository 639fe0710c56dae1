"""
Tables: a few rows in place of all
==================================

Distillation also works on tables. This example reduces two tables to one or five rows of each
class. On such easy data, simple choices of rows do well too. So the example also measures random
real rows and the k-means centres of each class.
"""

# %%
# The data
# --------
# Breast cancer has 30 features and two classes. Wine has 13 features and three classes.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from sklearn_dd import MLP, DatasetDistiller, DistilledImagesDisplay

torch.set_num_threads(1)  # more threads gain nothing for such a small student

tables = {"breast cancer": load_breast_cancer(as_frame=True), "wine": load_wine(as_frame=True)}
sizes = [1, 5]
seeds = range(3)

# %%
# The protocol
# ------------
# Every method gets the same training set and returns the same number of rows. Its score is the
# accuracy of the same kind of student on the same test set. The distiller learns how its student is
# trained. On all other rows, the student is trained with Adam until the training loss is close to
# 0. Each seed draws a new split, new rows and new weights.


def distilled(X, y, n_per_class, seed):
    """Rows made by the distiller."""
    distiller = DatasetDistiller(
        n_per_class, student=MLP, max_iter=120, n_inits=4, random_state=seed
    ).fit(X, y)
    return lambda X_test, y_test: distiller.evaluate(X_test, y_test, n_inits=10).mean


def random_rows(X, y, n_per_class, seed):
    """Random real rows of each class."""
    rng = np.random.default_rng(seed)
    X, y = X.to_numpy(), y.to_numpy()
    rows = [rng.choice(np.flatnonzero(y == c), n_per_class, replace=False) for c in np.unique(y)]
    return train_on(X, X[np.concatenate(rows)], np.repeat(np.unique(y), n_per_class), seed)


def centres(X, y, n_per_class, seed):
    """The k-means centres of each class."""
    X, y = X.to_numpy(), y.to_numpy()
    scale = StandardScaler().fit(X)
    rows = [
        KMeans(n_per_class, n_init=3, random_state=seed).fit(scale.transform(X[y == c]))
        for c in np.unique(y)
    ]
    rows = scale.inverse_transform(np.concatenate([k.cluster_centers_ for k in rows]))
    return train_on(X, rows, np.repeat(np.unique(y), n_per_class), seed)


def train_on(X, rows, target, seed):
    """A student trained on some rows, in the units in which all of ``X`` is standardised."""
    torch.manual_seed(seed)
    scale = StandardScaler().fit(X)
    student = NeuralNetClassifier(
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
    student.fit(scale.transform(rows).astype(np.float32), target)
    return lambda X_test, y_test: student.score(
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
# Each bar is one standard deviation over the seeds. Whether distillation is worth its time depends
# on the data: k-means takes milliseconds.

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
# ``X_syn`` is in the units of the table. The figure shows each column in standard deviations from
# its mean, so that columns can be compared.

wine = tables["wine"]
distiller = DatasetDistiller(max_iter=100, random_state=0).set_output(transform="pandas")
X_syn, y_syn, lrs = distiller.fit(wine.data, wine.target).transform()
print(X_syn.iloc[:, :4].round(2))

DistilledImagesDisplay.from_estimator(distiller, display_labels=wine.target_names)
plt.show()
