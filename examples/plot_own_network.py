"""
A student and a weight prior of your own
========================================

The student can be any PyTorch module. Its weights can start in any way: a rule of your own can draw
them, or they can come from nets that were trained before. This page shows all three.
"""

# %%
# A student
# ---------
# A student returns logits. Its constructor may name ``sample_shape`` and ``n_classes``, and the
# distiller then passes them. A student is a function of its parameters alone, so it must not use
# BatchNorm with running statistics.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import DatasetDistiller, DistilledImagesDisplay, LearningRatesDisplay

torch.set_num_threads(1)  # more threads gain nothing for such a small student


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
# ``init`` may be a callable that initialises a new module in place. The distiller seeds the random
# numbers, so the result depends on ``random_state`` alone.


def orthogonal(module):
    """Orthogonal weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)


# %%
# Search the width
# ----------------
# An unfitted skorch classifier around the module turns the module's arguments into parameters of
# the distiller. The distiller learns how the module is trained, so other settings of the skorch
# classifier, such as ``max_epochs``, have no effect.

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
# Other weights, other students
# -----------------------------
# ``evaluate`` also measures how much the distilled images depend on what they were made for. Here
# the students start from PyTorch's own initialisation, and then they have another width.

best = search.best_estimator_


def show(name, evaluation):
    print(f"{name:<36}{evaluation.mean:.3f} ± {evaluation.std:.3f}")


show("as distilled for", best.evaluate(X_test, y_test))
show("PyTorch's initialisation", best.evaluate(X_test, y_test, init="random"))
wider = NeuralNetClassifier(SmallNet, module__width=32)
show("width 32", best.evaluate(X_test, y_test, student=wider))

# %%
# Start from pre-trained nets
# ---------------------------
# ``init`` may be a pool of pre-trained nets: fitted skorch nets or state dicts. The nets below know
# only the digits 0 to 4. Ten distilled images teach them all ten digits. Pool and distiller must
# see samples in the same units. Here the pool is trained on images scaled to [0, 1], and
# ``standardize=False`` makes the distiller take them as they are.

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
# Two nets of the pool were held out. They show whether the images teach other nets of this kind
# too. With ``each_step=True``, ``evaluate`` also scores the nets before the first gradient step and
# after each step.

evaluation = distiller.evaluate(X_test, y_test, init=pool[6:], each_step=True)
print(f"Before the first step: {evaluation.step_scores[0].mean():.3f}")
print(f"After the last step:   {evaluation.mean:.3f}")

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 3.8), height_ratios=[1, 1.8], layout="constrained"
)
DistilledImagesDisplay.from_estimator(distiller, ax=top)
LearningRatesDisplay.from_estimator(distiller, ax=bottom)
plt.show()
