"""Unknown random initialisations: a hundred images of MNIST and of CIFAR-10, in thirty steps.

The paper, section 4.2 and table 1: ten steps of ten images, three times, by gradient descent from
Xavier's weights. Here: thirty steps of all hundred images, by Adam from PyTorch's default weights.

    python examples/paper/random_init.py [--quick] [--seed 0]
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from paper import Cell, Experiment, cell, load, main, overview
from skorch import NeuralNetClassifier

from sklearn_dd import DatasetDistiller
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.priors import pytorch_default
from sklearn_dd.engine.ridge import Ridge
from sklearn_dd.modules import AlexCifarNet, LeNet


def on_mnist(run: Experiment) -> tuple[DatasetDistiller, float]:
    """Distil MNIST; seconds that it took."""
    distiller = DatasetDistiller(
        10, n_epochs=30, labels="soft", data_init="real", n_inits=1, validation_fraction=0,
        # Half of the time for ridge regressions, half for windows of a training with Adam.
        method=[Ridge(), Unrolled(window=10, micro_batch=128)], init=pytorch_default,
        student=NeuralNetClassifier(LeNet, optimizer=torch.optim.Adam), distill_lr=0.01,
        outer_lr=0.02, max_iter=10**6, max_time=run.pick(240, 1800),
    )  # fmt: skip
    X, y, *_ = load("mnist")
    return distiller, run.fit("random-mnist", distiller, X, y)


def measure(run: Experiment) -> Iterator[Cell]:
    """MNIST, and CIFAR-10 where there is a GPU."""
    distiller, seconds = on_mnist(run)
    yield from report(run, "MNIST", "79.5 ± 8.1", distiller, seconds)
    if not torch.cuda.is_available():
        print("CIFAR-10 is left out: it wants a GPU.")
        return
    X, y, *_ = load("cifar10")
    distiller.set_params(student__module=AlexCifarNet)
    yield from report(
        run, "CIFAR-10", "36.8 ± 1.2", distiller, run.fit("random-cifar10", distiller, X, y)
    )


def report(
    run: Experiment, data: str, paper: str, distiller: DatasetDistiller, seconds: float
) -> Iterator[Cell]:
    """Score held-out nets, at the end and after each step."""
    _, _, X_test, y_test = load(data.replace("-", "").lower())
    n_nets = run.pick(50, 200)
    scores = distiller.evaluate(X_test, y_test, n_inits=n_nets, each_step=False)
    yield cell(f"{data}, 100 images", paper, scores.scores, seconds)
    steps = distiller.evaluate(X_test, y_test, n_inits=8)
    run.save(overview(distiller, steps.step_scores, data), data)


if __name__ == "__main__":
    main(__file__, __doc__, measure)
