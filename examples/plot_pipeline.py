"""
A grid search over the schedule, in a pipeline
==============================================

A distiller is a scikit-learn classifier. It can be the last step of a pipeline, and a grid search
can choose its parameters. Its score is the accuracy of a student that was trained on the distilled
data alone. This example searches the schedule: the number of mini-batches that the distilled data
are cut into, and the number of times that a student goes through them.
"""

# %%
# The pipeline
# ------------
# The first step computes principal components, so the distiller sees 20 numbers for each digit in
# place of 64 pixels. A few iterations are enough to compare schedules.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay

torch.set_num_threads(1)  # more threads gain nothing for such a small student

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
# ``n_per_class`` counts all synthetic samples of a class, so ``n_steps`` must divide it. With one
# step, all 40 samples form one mini-batch. With four steps, each mini-batch has ten samples.

grid = {"distil__n_steps": [1, 2, 4], "distil__n_epochs": [1, 3, 5]}
search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)

print("Best schedule:", search.best_params_)
print(f"Its accuracy on the test set: {search.score(X_test, y_test):.3f}")

# %%
# A student takes ``n_steps * n_epochs`` gradient steps in all. Every further step makes the fit
# slower and lets the student learn more. In such a short search, accuracy depends mostly on the
# number of steps.

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
# ``Pipeline.transform`` needs an argument, so call ``transform`` of the last step. The distilled
# data are in the units of that step, here principal components. The first step takes them back to
# pixels.

best = search.best_estimator_
X_syn, y_syn, lrs = best[-1].transform()
images = best[:-1].inverse_transform(X_syn).reshape(-1, 8, 8)

DistilledImagesDisplay.from_data(images, y_syn, lrs)
plt.show()
