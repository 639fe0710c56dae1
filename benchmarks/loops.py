"""What ``training_loop="any"`` gains in ordinary training loops, and what it costs.

    python benchmarks/loops.py

The score is the accuracy on a quarter of the training part that no fit has seen; the test parts
are not used. The table is docs/measured/loops.rst.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from defaults import split_off
from pages import MACHINE, MEASURED, list_table
from sklearn.datasets import load_breast_cancer, load_digits
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_dd import DatasetDistiller

SEEDS = range(1, 4)
# Validation students follow the learned schedule: they would choose an iterate for it alone.
FIT = {"max_iter": 300, "validation_fraction": 0}
N_STUDENTS = 5
BATCH = 32
SHORT = {"labels": "free", "n_steps": 1, "n_epochs": 3}
FITS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "digits": (load_digits, {"n_per_class": 10, "n_steps": 1}),
    "digits, free labels": (load_digits, {"n_per_class": 10, **SHORT}),
    "digits, 10 mini-batches": (load_digits, {"n_per_class": 10, "n_steps": 10, "n_epochs": 3}),
    "breast cancer, free labels": (load_breast_cancer, {"n_per_class": 10, **SHORT}),
}

Loop = Callable[[nn.Module, Tensor, Tensor, Tensor], None]
"""(student, x, y, learned step sizes) -> None; trains the student."""


def descend(student: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One step on one mini-batch."""
    optimizer.zero_grad()
    F.cross_entropy(student(x), y).backward()
    optimizer.step()


def by_schedule(student: nn.Module, x: Tensor, y: Tensor, lrs: Tensor, *, shuffle: bool) -> None:
    """The learned step sizes, with the rows in their order or shuffled in each epoch."""
    optimizer = torch.optim.SGD(student.parameters())
    for epoch in lrs:
        order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
        for rows, lr in zip(order.chunk(len(epoch)), epoch.tolist(), strict=True):
            optimizer.param_groups[0]["lr"] = lr
            descend(student, optimizer, x[rows], y[rows])


def ordinary(
    student: nn.Module, x: Tensor, y: Tensor, _: Tensor, *, make: Callable[..., Any], n_epochs: int
) -> None:
    """Shuffled mini-batches and an optimiser of PyTorch, as one would write it."""
    optimizer = make(student.parameters())
    for _epoch in range(n_epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            descend(student, optimizer, x[rows], y[rows])


ADAM = partial(torch.optim.Adam, lr=0.003)
MOMENTUM = partial(torch.optim.SGD, lr=0.01, momentum=0.9)
LOOPS: dict[str, Loop] = {
    "learned schedule": partial(by_schedule, shuffle=False),
    "the same, shuffled": partial(by_schedule, shuffle=True),
    "Adam, 20 epochs": partial(ordinary, make=ADAM, n_epochs=20),
    "Adam, 100 epochs": partial(ordinary, make=ADAM, n_epochs=100),
    "momentum, 20 epochs": partial(ordinary, make=MOMENTUM, n_epochs=20),
    "momentum, 100 epochs": partial(ordinary, make=MOMENTUM, n_epochs=100),
}


def scores(load: Callable[..., Any], changes: dict[str, Any], seed: int) -> list[float]:
    """Held-out accuracy after each loop, mean over students; at the end the seconds of the fit."""
    X, X_new, y, y_new = split_off(*load(return_X_y=True), seed)
    began = time.perf_counter()
    distiller = DatasetDistiller(random_state=seed, **FIT, **changes).fit(X, y)
    seconds = time.perf_counter() - began
    X_syn, y_syn, lrs = distiller.transform()
    standardise = distiller.recipe_.units
    x, x_new = (standardise(torch.tensor(part)).float() for part in (X_syn, X_new))
    found = []
    for loop in LOOPS.values():
        accuracies = []
        for student_seed in range(N_STUDENTS):
            torch.manual_seed(student_seed)
            student = distiller.recipe_.spec()()
            loop(student, x, torch.tensor(y_syn), torch.tensor(lrs))
            with torch.no_grad():
                predicted = distiller.classes_[student(x_new).argmax(1).numpy()]
            accuracies.append(np.mean(predicted == y_new))
        found.append(float(np.mean(accuracies)))
    return [*found, seconds]


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    rows = [["data", "``training_loop``", *LOOPS, "seconds"]]
    for name, (load, parameters) in FITS.items():
        for training_loop in ("learned", "any"):
            changes = {**parameters, "training_loop": training_loop}
            found = np.array([scores(load, changes, seed) for seed in SEEDS])
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(found.mean(0), found.std(0), strict=True)]
            cells[-1] = f"{np.median(found[:, -1]):.0f}"
            rows.append([name, f'``"{training_loop}"``', *cells])
            print(*rows[-1], sep=" | ", flush=True)
    head = (
        f"Accuracy of an MLP on held-out samples, seeds {SEEDS[0]} to {SEEDS[-1]}, one thread\n"
        f"of a {MACHINE}.\n"
        f"Fits of {FIT['max_iter']} outer iterations keep the last iterate. "
        "Mean ± standard deviation over seeds, with "
        f"{N_STUDENTS} students for each seed;\n*seconds* is the median time of a fit. Ordinary "
        f"loops take mini-batches of {BATCH} rows; Adam takes step\nsizes of 0.003, SGD with a "
        "momentum of 0.9 takes 0.01.\n\n"
    )
    (MEASURED / "loops.rst").write_text(head + list_table(rows))


if __name__ == "__main__":
    main()
