"""
Digits in ten images
====================

One synthetic image of each digit, made so that a network trained on those ten images alone does
well on real ones. For comparison, the same network is trained on all real images, on ten of them
and on a hundred.
"""

# %%
# The data
# --------
# Small images of handwritten digits, of which 30 % are held out for testing.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier

from sklearn_dd import ConvergenceDisplay, DatasetDistiller, DistilledImagesDisplay
from sklearn_dd.modules import MLP

torch.set_num_threads(1)  # so small a network gains nothing from more

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images, digits.target, test_size=0.3, random_state=0, stratify=digits.target
)

# %%
# Distil
# ------
# The student is a multilayer perceptron that starts from random weights. The weights are drawn
# anew in every iteration, so the images do not depend on any one network.

distiller = DatasetDistiller(student=MLP, max_iter=600, random_state=0, verbose=1)
X_syn, y_syn, lrs = distiller.fit(X, y).transform()

print(f"{len(X)} images became {len(X_syn)}, to be trained on in {lrs.size} steps.")

# %%
# ``X_syn`` has the units and the layout of ``X``, so it can be looked at as it is. The pictures
# need not look like digits: they were made to be learned from.

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 4.4), height_ratios=[1, 2.3], layout="constrained"
)
DistilledImagesDisplay.from_estimator(distiller, ax=top)
ConvergenceDisplay.from_estimator(distiller, ax=bottom)
top.set_title("One distilled image of each digit")
bottom.set_title("How the fit went")
figure.savefig("quickstart.png", dpi=150)
print("The distilled images and the curve are in quickstart.png.")

# %%
# How good are they?
# ------------------
# ``evaluate`` trains students from fresh initialisations, which the fit has never drawn, on the
# distilled images alone.

distilled = distiller.evaluate(X_test, y_test, n_inits=20)

# %%
# The baselines train the same network with Adam until the training loss has vanished. Real images
# are standardised as the distiller does it, and each run draws other images and other weights.


def accuracy_of_real_images(n_per_class, seed):
    """Test accuracy after training on so many random real images of each class."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(X))
    if n_per_class is not None:
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(y == c), n_per_class, replace=False) for c in range(10)]
        )
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
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
    mean, deviation = X.mean(), X.std()
    net.fit(((X[rows] - mean) / deviation).astype(np.float32), y[rows])
    return net.score(((X_test - mean) / deviation).astype(np.float32), y_test)


def show(name, scores):
    print(f"{name:<36}{np.mean(scores):.3f} ± {np.std(scores):.3f}")


print("Test accuracy, mean ± standard deviation over runs")
show(f"all {len(X)} real images", [accuracy_of_real_images(None, seed) for seed in range(3)])
show("100 random real images", [accuracy_of_real_images(10, seed) for seed in range(10)])
show("10 random real images", [accuracy_of_real_images(1, seed) for seed in range(20)])
show("10 distilled images", distilled.scores)
