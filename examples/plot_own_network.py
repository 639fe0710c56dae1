"""
A network and a weight prior of your own
========================================

The student can be any PyTorch module, and its weights can start in any way: drawn by a rule of
your own, or taken from networks that were trained before. This page shows the three together.
"""

# %%
# A student
# ---------
# A network for the distiller returns logits, and its constructor may name ``sample_shape`` and
# ``n_classes``, which it is then given. It has no BatchNorm with running statistics: a student is
# a function of its parameters alone.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay, LearningRatesDisplay

torch.set_num_threads(1)  # so small a network gains nothing from more


class SmallNet(nn.Sequential):
    """One strided convolution, one linear layer."""

    def __init__(self, sample_shape, n_classes, width=8):
        channels, height, n_columns = sample_shape
        super().__init__(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.GroupNorm(1, width),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(width * (height // 2) * (n_columns // 2), n_classes),
        )


digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images, digits.target, test_size=0.3, random_state=0, stratify=digits.target
)

# %%
# A weight prior
# --------------
# A callable is handed a new module and initialises it in place. The distiller decides the random
# numbers, so that the result depends on ``random_state`` alone.


def orthogonal(module):
    """Orthogonal weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)


# %%
# Search the width
# ----------------
# An unfitted skorch classifier around the module makes its arguments parameters of the distiller.
# Only the module and its arguments are taken from it: how it is trained is what the distiller
# learns.

distiller = DatasetDistiller(
    student=NeuralNetClassifier(SmallNet),
    init=orthogonal,
    n_epochs=5,
    max_iter=80,
    n_inits=4,
    random_state=0,
)
search = GridSearchCV(distiller, {"student__module__width": [4, 16]}, cv=2).fit(X, y)
print("Accuracy by width:", search.cv_results_["mean_test_score"].round(3))
print("Best:", search.best_params_)

# %%
# Other weights, other networks
# -----------------------------
# ``evaluate`` tells how much the distilled images depend on what they were made for. Here students
# start from PyTorch's own initialisation, and then have another width.

best = search.best_estimator_


def show(name, evaluation):
    print(f"{name:<36}{evaluation.mean:.3f} ± {evaluation.std:.3f}")


show("as distilled for", best.evaluate(X_test, y_test))
show("PyTorch's initialisation", best.evaluate(X_test, y_test, init="random"))
wider = NeuralNetClassifier(SmallNet, module__width=32)
show("width 32", best.evaluate(X_test, y_test, student=wider))

# %%
# Start from trained networks
# ---------------------------
# ``init`` may be a pool of networks, fitted with skorch or given as state dicts. These know the
# digits 0 to 4, and ten distilled images are to teach them all ten. Both have to see samples in
# the same units: the pool is trained on scaled images, and ``standardize=False`` has the distiller
# take them as they are.

X, X_test = X.astype("float32")[:, None] / 16, X_test.astype("float32")[:, None] / 16


def knows_five_digits(seed):
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        SmallNet,
        module__sample_shape=(1, 8, 8),
        module__n_classes=10,
        module__width=16,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=10,
        train_split=None,
        verbose=0,
    )
    return net.fit(X[y < 5], y[y < 5])


pool = [knows_five_digits(seed) for seed in range(8)]
distiller = DatasetDistiller(
    student=NeuralNetClassifier(SmallNet, module__width=16),
    init=pool[:6],
    standardize=False,
    n_epochs=5,
    max_iter=100,
    n_inits=4,
    random_state=0,
).fit(X, y)

# %%
# Two networks of the pool were kept back, to see whether the images teach networks like them too.

evaluation = distiller.evaluate(X_test, y_test, init=pool[6:])
print(f"Before the first step: {evaluation.step_scores[0].mean():.3f}")
print(f"After the last step:   {evaluation.mean:.3f}")

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 3.8), height_ratios=[1, 1.8], layout="constrained"
)
DistilledImagesDisplay.from_estimator(distiller, ax=top)
LearningRatesDisplay.from_estimator(distiller, ax=bottom)
plt.show()
