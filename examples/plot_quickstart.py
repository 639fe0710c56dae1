"""
Digits in ten images
====================

This example learns one synthetic image of each digit. A student that trains on these ten images
alone does well on real ones. For comparison, the same student is trained on all real images, on a
hundred of them and on ten.
"""

# %%
# The data
# --------
# The data are small images of handwritten digits. 30 % of them are held out for testing.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier

from sklearn_dd import MLP, ConvergenceDisplay, DatasetDistiller, DistilledImagesDisplay

torch.set_num_threads(1)  # more threads gain nothing for such a small student

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images, digits.target, test_size=0.3, random_state=0, stratify=digits.target
)

# %%
# Distil
# ------
# The student is a multilayer perceptron that starts from random weights. Every iteration draws new
# weights, so the images are not made for one particular student.

distiller = DatasetDistiller(student=MLP, max_iter=600, random_state=0, verbose=1)
X_syn, y_syn, lrs = distiller.fit(X, y).transform()

print(f"{len(X)} images became {len(X_syn)}. A student trains on them in {lrs.size} steps.")

# %%
# ``X_syn`` has the units and the layout of ``X``, so it can be shown as it is. The images need not
# look like digits: they were made for students to learn from.

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 4.4), height_ratios=[1, 2.3], layout="constrained"
)
DistilledImagesDisplay.from_estimator(distiller, ax=top)
ConvergenceDisplay.from_estimator(distiller, ax=bottom)
top.set_title("One distilled image of each digit")
bottom.set_title("Course of the fit")
figure.savefig("quickstart.png", dpi=150)
print("The distilled images and the course of the fit are in quickstart.png.")

# %%
# How good are they?
# ------------------
# ``evaluate`` trains new students on the distilled images alone. They start from initialisations
# that the fit has never drawn.

distilled = distiller.evaluate(X_test, y_test, n_inits=20)

# %%
# The baselines train the same student on real images with Adam, until the training loss is close to
# 0. The real images are standardised as in the distiller. Each run draws new images and new
# weights.


def accuracy_of_real_images(n_per_class, seed):
    """Test accuracy after training on random real images, ``n_per_class`` of each class or all."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(X))
    if n_per_class is not None:
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(y == c), n_per_class, replace=False) for c in range(10)]
        )
    torch.manual_seed(seed)
    student = NeuralNetClassifier(
        MLP,
        module__sample_shape=(8, 8),
        module__n_classes=10,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        batch_size=min(len(rows), 128),
        max_epochs=200 if n_per_class else 40,
        train_split=None,
        verbose=0,
    )
    mean, std = X.mean(), X.std()
    student.fit(((X[rows] - mean) / std).astype(np.float32), y[rows])
    return student.score(((X_test - mean) / std).astype(np.float32), y_test)


def show(name, scores):
    print(f"{name:<36}{np.mean(scores):.3f} ± {np.std(scores):.3f}")


print("Test accuracy, mean ± standard deviation over runs")
show(f"all {len(X)} real images", [accuracy_of_real_images(None, seed) for seed in range(3)])
show("100 random real images", [accuracy_of_real_images(10, seed) for seed in range(10)])
show("10 random real images", [accuracy_of_real_images(1, seed) for seed in range(20)])
show("10 distilled images", distilled.scores)
