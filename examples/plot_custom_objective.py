"""
An objective of your own
========================

What a student should be good at is a function of its logits and the true classes. Here a missed
malignant tumour costs ten times as much as a false alarm, and the distilled samples teach that:
students that train on them in the usual way, with the usual loss, become careful.
"""

# %%
# The objective
# -------------
# ``objective`` takes a function ``(logits, y) -> scalar`` of a batch of real samples, where ``y``
# holds indices into ``classes_``. It must be differentiable for the logits, and a mean over
# samples is a good habit. In this data set class 0 is malignant.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from sklearn_dd import DatasetDistiller

torch.set_num_threads(1)

X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
COST = torch.tensor([10.0, 1.0])


def careful(logits, y):
    """Cross-entropy in which a malignant tumour counts ten times."""
    return (COST.to(y.device)[y] * F.cross_entropy(logits, y, reduction="none")).mean()


# %%
# Distil twice
# ------------
# The distilled samples have plain class labels in both cases.

objectives = {"classification": "classification", "careful": careful}
distillers = {
    name: DatasetDistiller(objective=objective, max_iter=300, random_state=0).fit(X, y)
    for name, objective in objectives.items()
}

# %%
# What students do
# ----------------
# One sample of each class, ten gradient steps. The first row of each matrix holds the malignant
# tumours.

figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for (name, distiller), ax in zip(distillers.items(), axes, strict=True):
    predicted = distiller.predict(X_test)
    missed = np.mean(predicted[y_test == 0] == 1)
    alarms = np.mean(predicted[y_test == 1] == 0)
    print(f"{name}: {missed:.1%} of the malignant missed, {alarms:.1%} false alarms")
    ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=["malignant", "benign"], ax=ax, colorbar=False
    )
    ax.set_title(name)
plt.show()
