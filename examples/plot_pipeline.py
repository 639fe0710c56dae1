"""
The schedule, searched in a pipeline
====================================

A distiller is a classifier to scikit-learn: it stands at the end of a pipeline, and a grid search
chooses its parameters. Its score is the accuracy of a student that was trained on the distilled
data alone. Here the search is over the schedule: the number of mini-batches that the distilled
data are cut into, and how often a student goes through them.
"""

# %%
# The pipeline
# ------------
# Principal components first: the distiller then works with 20 numbers for each digit instead of 64
# pixels. Few iterations are enough to compare schedules with.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay

torch.set_num_threads(1)  # so small a network gains nothing from more

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

pipeline = Pipeline(
    [
        ("pca", PCA(20, random_state=0)),
        ("distil", DatasetDistiller(n_per_class=4, max_iter=50, n_inits=2, random_state=0)),
    ]
)

# %%
# The search
# ----------
# ``n_per_class`` counts all synthetic samples of a class, so ``n_steps`` must divide it: with one
# step all 40 samples are one mini-batch, with four steps each mini-batch has ten.

grid = {"distil__n_steps": [1, 2, 4], "distil__n_epochs": [1, 3, 5]}
search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)

print("Best schedule:", search.best_params_)
print(f"Its accuracy on the test set: {search.score(X_test, y_test):.3f}")

# %%
# A student takes ``n_steps * n_epochs`` gradient steps in all. Each step makes the fit longer, and
# gives the student one more chance to move: in so short a search the accuracy depends on little
# else.

scores = search.cv_results_["mean_test_score"].reshape(3, 3)

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
image = ax.imshow(scores, cmap="viridis", origin="lower")
for (row, column), score in np.ndenumerate(scores):
    colour = "black" if score > scores.mean() else "white"
    ax.text(column, row, f"{score:.2f}", ha="center", va="center", color=colour)
ax.set_xticks(range(3), grid["distil__n_steps"])
ax.set_yticks(range(3), grid["distil__n_epochs"])
ax.set(xlabel="n_steps", ylabel="n_epochs")
figure.colorbar(image, label="cross-validated accuracy")

# %%
# The result
# ----------
# ``Pipeline.transform`` needs an argument, so ask the last step itself. The distilled data are in
# its units, here principal components; the first step takes them back to pixels.

best = search.best_estimator_
X_syn, y_syn, lrs = best[-1].transform()
images = best[:-1].inverse_transform(X_syn).reshape(-1, 8, 8)

DistilledImagesDisplay.from_data(images, y_syn, lrs)
plt.show()
