"""
Regression in five pairs
========================

What distillation does for classes it does for numbers: here it learns five patients, and the course
of their disease, from which a network learns most of what there is to learn from all of them.
"""

# %%
# The data
# --------
# Ten measurements of 442 diabetes patients, and a number that says how the disease went on.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistillerRegressor

torch.set_num_threads(1)

data = load_diabetes(as_frame=True)
X, X_test, y, y_test = train_test_split(data.data, data.target, random_state=0)

# %%
# Distil
# ------
# Samples, their targets and the step sizes are all learned. With ``learn_targets=False`` and next
# to no ``outer_lr``, real pairs stay as they are and only their step sizes are learned: that is
# what five random patients can teach.

distiller = DatasetDistillerRegressor(n_samples=5, max_iter=500, random_state=0).fit(X, y)
five_real = [
    DatasetDistillerRegressor(
        n_samples=5, learn_targets=False, outer_lr=1e-9, step_size_rate=1e7, max_iter=500,
        random_state=seed,
    ).fit(X, y)
    for seed in range(5)
]  # fmt: skip

learned = distiller.evaluate(X_test, y_test)
real = np.mean([d.evaluate(X_test, y_test).mean for d in five_real])
linear = LinearRegression().fit(X, y).score(X_test, y_test)
print("R² on patients that nobody has seen")
print(f"a linear regression on all {len(X)}       {linear:.2f}")
print(f"networks on 5 distilled patients     {learned.mean:.2f} ± {learned.std:.2f}")
print(f"networks on 5 random patients        {real:.2f}")

# %%
# The five
# --------
# A heat map of the measurements, in standard deviations, and the targets beside the real ones.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3), width_ratios=[2, 1], layout="constrained"
)
left.imshow(
    (distiller.X_syn_ - X.mean().to_numpy()) / X.std().to_numpy(), cmap="RdBu", vmin=-4, vmax=4
)
left.set(
    xticks=range(10), xticklabels=X.columns, yticks=range(5),
    yticklabels=[f"{number:.0f}" for number in distiller.y_syn_],
    ylabel="target", title="Distilled patients",
)  # fmt: skip
right.hist(y, bins=30, color="0.8")
right.vlines(distiller.y_syn_, 0, 12)
right.set(xlabel="target", title="Real and distilled targets")
plt.show()
