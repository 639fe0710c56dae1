"""
One round of federated learning
===============================

Five hospitals may not share their patients' rows. Each sends a few distilled rows instead, once. A
server fits a model of its choice to all of them. Distilled rows are no protection by themselves:
see the guide on limits.
"""

# %%
# The data
# --------
# Each hospital has another mix of classes: digits stand for patients, and no hospital sees more
# than a few of each rare kind.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_dd import DatasetDistiller, KMeansCenters, RandomSamples

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

rng = np.random.default_rng(0)
mix = rng.dirichlet(np.full(5, 0.7), size=10)  # of each digit, the share of each hospital
hospital = np.array([rng.choice(5, p=mix[digit]) for digit in y])
clients = []
for k in range(5):
    own = hospital == k
    known = [digit for digit in range(10) if (y[own] == digit).sum() >= 5]
    own &= np.isin(y, known)
    clients.append((X[own], y[own]))
    print(f"hospital {k}: {own.sum()} rows, digits {known}")

# %%
# What is sent
# ------------
# Two rows of each class that a hospital knows well enough.

students = [KNeighborsClassifier(1), LogisticRegression(), SVC()]


def distil(X, y):
    """Rows that were learned for three models."""
    distiller = DatasetDistiller(2, student=students, max_iter=80, random_state=0)
    return distiller.fit_transform(X, y)


senders = {
    "random rows": lambda X, y: RandomSamples(2, random_state=0).fit_transform(X, y),
    "k-means centres": lambda X, y: KMeansCenters(2, random_state=0).fit_transform(X, y),
    "distilled rows": distil,
}

# %%
# What the server learns
# ----------------------
# It standardises by what it has received. No hospital distilled for a random forest.

models = {
    "nearest neighbour": KNeighborsClassifier(1),
    "logistic regression": LogisticRegression(max_iter=1000),
    "support vectors": SVC(),
    "random forest": RandomForestClassifier(random_state=0),
}


def learned(X, y):
    """The accuracy of each model after learning from what was sent."""
    scaler = StandardScaler().fit(X)
    return [
        model.fit(scaler.transform(X), y).score(scaler.transform(X_test), y_test)
        for model in models.values()
    ]


scores = {}
for name, send in senders.items():
    sent = [send(*client) for client in clients]
    X_sent, y_sent = (np.concatenate([part[k] for part in sent]) for k in range(2))
    scores[f"{name} ({len(y_sent)})"] = learned(X_sent, y_sent)
scores[f"all rows ({len(y)})"] = learned(X, y)

for name, found in scores.items():
    print(f"{name:22}", " ".join(f"{score:.3f}" for score in found))

# %%
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
places = np.arange(len(models))
for k, (name, found) in enumerate(scores.items()):
    ax.bar(places + 0.2 * (k - 1.5), found, 0.18, label=name)
ax.set_xticks(places, models)
ax.set_ylim(0.5, 1)
ax.set_ylabel("test accuracy of the server's model")
fig.legend(loc="outside upper center", fontsize=8, ncols=4)
plt.show()
