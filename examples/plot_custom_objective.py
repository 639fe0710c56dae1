"""
An objective of your own
========================

The outer objective says what a trained student should do. It is a function of the student's logits
and the true classes. In this example a missed malignant tumour costs ten times as much as a false
alarm. The distilled samples carry this preference: students that train on them in the usual way,
with the usual loss, become careful.
"""

# %%
# The objective
# -------------
# ``objective`` takes a function ``(logits, y) -> scalar`` of a batch of real samples. ``y`` holds
# indices into ``classes_``. The function must be differentiable with respect to the logits, and it
# should be a mean over samples. In this data set class 0 is malignant.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from sklearn_dd import DatasetDistiller

torch.set_num_threads(1)  # more threads gain nothing for such a small student

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
# What the students do
# --------------------
# Each student has trained on one sample of each class. The first row of each
# matrix shows the malignant tumours.

figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for (name, distiller), ax in zip(distillers.items(), axes, strict=True):
    predicted = distiller.predict(X_test)
    missed = np.mean(predicted[y_test == 0] == 1)
    alarms = np.mean(predicted[y_test == 1] == 0)
    print(f"{name}: {missed:.1%} of malignant tumours missed, {alarms:.1%} false alarms")
    ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=["malignant", "benign"], ax=ax, colorbar=False
    )
    ax.set_title(name)
plt.show()
