"""
Choose a model on a hundred digits
==================================

A search over models and their parameters fits many models. On distilled data each fit is short. Is
the model that is best there also good on all the data? This example tries 28 models on the hundred
digits that come with the package, and on all 1,257 training digits.
"""

# %%
# The data
# --------
# The distilled digits were learned from the training part of this split, for any model.

import time

import matplotlib.pyplot as plt
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

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
scaler = StandardScaler().fit(X)

X_syn, y_syn, _ = load_distilled_digits(n_per_class=10)
X_random, y_random, _ = RandomSamples(n_per_class=10, random_state=0).fit_transform(X, y)

# %%
# The models
# ----------

grids = {
    SVC: {"C": [0.1, 1, 10], "gamma": [0.001, 0.01, 0.1]},
    KNeighborsClassifier: {"n_neighbors": [1, 3, 9]},
    LogisticRegression: {"C": [0.001, 0.1, 10], "max_iter": [2000]},
    RandomForestClassifier: {"max_depth": [2, 5, None], "max_features": [0.1, "sqrt"]},
    DecisionTreeClassifier: {"max_depth": [3, 5, 10, None]},
    GaussianNB: {"var_smoothing": [1e-9, 1e-3, 0.1]},
}
models = [kind(**parameters) for kind, grid in grids.items() for parameters in ParameterGrid(grid)]
for model in models:
    if "random_state" in model.get_params():
        model.set_params(random_state=0)


def scores(X_small, y_small, X_new, y_new):
    """The accuracy of each model after learning from a set, and the seconds in all."""
    began = time.perf_counter()
    fits = [model.fit(scaler.transform(X_small), y_small) for model in models]
    found = [fit.score(scaler.transform(X_new), y_new) for fit in fits]
    return np.array(found), time.perf_counter() - began


# %%
# The search
# ----------
# Models that learned from a hundred digits are compared on the training digits, so that nothing is
# chosen on the test part. Models that learned from half of the training digits are compared on the
# other half.

half, other, y_half, y_other = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
searches = {
    "distilled": scores(X_syn, y_syn, X, y),
    "random": scores(X_random, y_random, X, y),
    "half of all": scores(half, y_half, other, y_other),
}
in_the_end, _ = scores(X, y, X_test, y_test)  # of each model, after learning from all digits

for name, (found, seconds) in searches.items():
    regret = in_the_end.max() - in_the_end[found.argmax()]
    agreement = spearmanr(found, in_the_end)[0]
    print(
        f"{name:12} {seconds:5.1f} s, rank correlation {agreement:.2f}, "
        f"regret {100 * regret:.1f} points: {models[found.argmax()]}"
    )

# %%
# Each point is a model. A search works if the points on the right are high.

fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, (found, _)) in zip(axes, searches.items(), strict=True):
    for kind in grids:
        own = [isinstance(model, kind) for model in models]
        ax.scatter(found[own], in_the_end[own], s=18, label=kind.__name__)
    ax.set_title(f"learned from: {name}")
    ax.set_xlabel("accuracy in the search")
axes[0].set_ylabel("test accuracy with all digits")
axes[2].legend(fontsize=7)
plt.show()
