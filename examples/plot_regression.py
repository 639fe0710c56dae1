"""
Regression in five pairs
========================

Distillation also works for regression. This example learns five synthetic patients and the
progression of their disease. A student that trains on these five learns most of what the real
patients can teach.
"""

# %%
# The data
# --------
# The data are ten measurements of each of 442 diabetes patients. The target is a number that
# measures how far the disease has progressed a year later.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistillerRegressor

torch.set_num_threads(1)  # more threads gain nothing for such a small student

data = load_diabetes(as_frame=True)
X, X_test, y, y_test = train_test_split(data.data, data.target, random_state=0)

# %%
# Distil
# ------
# The fit learns the samples, their targets and the step sizes. For comparison, five random patients
# are fitted with ``data_init="real"``, ``labels="hard"`` and an ``outer_lr`` close to 0: real
# samples and targets then stay as they are, and only the step sizes are learned.

distiller = DatasetDistillerRegressor(n_samples=5, max_iter=500, random_state=0).fit(X, y)
five_real = [
    DatasetDistillerRegressor(
        n_samples=5, labels="hard", data_init="real", outer_lr=1e-9, step_size_rate=1e7,
        max_iter=500, random_state=seed,
    ).fit(X, y)
    for seed in range(5)
]  # fmt: skip

learned = distiller.evaluate(X_test, y_test)
real = np.mean([d.evaluate(X_test, y_test).mean for d in five_real])
linear = LinearRegression().fit(X, y).score(X_test, y_test)
print("R² on held-out patients")
print(f"linear regression on all {len(X)}         {linear:.2f}")
print(f"students on 5 distilled patients     {learned.mean:.2f} ± {learned.std:.2f}")
print(f"students on 5 random patients        {real:.2f}")

# %%
# The five patients
# -----------------
# The heat map shows the measurements, in standard deviations from the mean. The histogram shows the
# real targets, and the lines are the five distilled ones.

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
