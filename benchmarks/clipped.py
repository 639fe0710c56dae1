"""Whether `Clipped` helps windows at random places of a training.

    python benchmarks/clipped.py

The data are digits and breast cancer, one sample of each class. The score is the accuracy on a
quarter of the training part, held out: the mean of seeds 0 to 2. The test part is not used.
"""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import Any

import torch
from defaults import split_off
from pages import MACHINE
from sklearn.datasets import load_breast_cancer, load_digits
from skorch import NeuralNetClassifier

from sklearn_dd import MLP, Clipped, DatasetDistiller, Unrolled

WINDOW, SEEDS = Unrolled(window=10), range(3)
METHODS = {"no clip": WINDOW, "2": Clipped(WINDOW, 2.0), "1": Clipped(WINDOW, 1.0)}
STUDENTS: dict[str, dict[str, Any]] = {
    "SGD, 60 steps": {"student": MLP, "n_epochs": 60},
    "Adam, 100 steps": {
        "student": NeuralNetClassifier(MLP, optimizer=torch.optim.Adam), "n_epochs": 100,
        "distill_lr": 0.003, "labels": "soft", "outer_lr": 0.02,
    },
}  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    print(f"one thread of a {MACHINE}; data | student | ratio of Clipped | held-out accuracy")
    for name, load in {"digits": load_digits, "breast cancer": load_breast_cancer}.items():
        for student, parameters in STUDENTS.items():
            for clip, method in METHODS.items():
                found = []
                for seed in SEEDS:
                    X, X_new, y, y_new = split_off(*load(return_X_y=True), seed)
                    distiller = DatasetDistiller(
                        method=method, data_init="real", max_iter=400, random_state=seed,
                        **parameters,
                    ).fit(X, y)  # fmt: skip
                    scores = distiller.evaluate(X_new, y_new, n_inits=10)
                    found.append(scores.mean)
                mean, spread = fmean(found), pstdev(found)
                print(f"{name} | {student} | {clip} | {mean:.3f} ± {spread:.3f}", flush=True)


if __name__ == "__main__":
    main()
