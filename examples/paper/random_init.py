"""Unknown random initialisations: a hundred images of MNIST and of CIFAR-10, in thirty steps.

This is section 4.2 and table 1 of the paper: ten steps of ten images, three times, by gradient
descent from Xavier's weights. Here students take thirty steps of Adam on all hundred images, from
PyTorch's default weights. On a CPU the images of CIFAR-10 are learned by ridge regression alone,
and their step sizes are not learned.

    python examples/paper/random_init.py [--quick] [--seed 0]
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from paper import Cell, Experiment, cell, load, main, overview
from skorch import NeuralNetClassifier

from sklearn_dd import (
    AlexCifarNet,
    DatasetDistiller,
    LeNet,
    Ridge,
    Unrolled,
    pytorch_default,
)

EARLIER = (
    "In an earlier run on MNIST, step sizes started at 0.01. Fifteen minutes gave 87.1 ± 14.8: "
    "four of a hundred nets failed in their first steps, on training images too. So step sizes "
    "start at 0.005 in full settings."
)


def on_mnist(run: Experiment) -> tuple[DatasetDistiller, float]:
    """The distiller, fitted on MNIST, and the seconds that it took."""
    distiller = DatasetDistiller(
        10, n_steps=1, n_epochs=30, labels="soft", data_init="real", n_inits=1,
        validation_fraction=0, step_size_rate=0.2,
        # Half of the time is for ridge regression, half for windows of a training with Adam.
        method=[Ridge(), Unrolled(window=10, micro_batch=128)], init=pytorch_default,
        student=NeuralNetClassifier(LeNet, optimizer=torch.optim.Adam),
        # Images of a long fit have more contrast, and some nets then fail at the larger step size.
        distill_lr=run.pick(0.01, 0.005), outer_lr=0.02, max_iter=10**6,
        max_time=run.pick(240, 900),
    )  # fmt: skip
    X, y, *_ = load("mnist")
    return distiller, run.fit("random-mnist", distiller, X, y)


def measure(run: Experiment) -> Iterator[Cell]:
    """MNIST, and CIFAR-10 where there is a GPU or an hour."""
    run.remark = EARLIER
    distiller, seconds = on_mnist(run)
    yield from report(run, "MNIST", "79.5 ± 8.1", distiller, seconds, run.pick(50, 200))
    on_cpu = not torch.cuda.is_available()
    if on_cpu and run.quick:
        print("CIFAR-10 is left out: it needs a GPU, or an hour of a CPU.")
        return
    X, y, *_ = load("cifar10")
    distiller.set_params(student__module=AlexCifarNet)
    if on_cpu:  # windows of this student are too slow, so its step sizes are not learned
        distiller.set_params(method=[Ridge()], batch_size=256, distill_lr=0.001, max_time=1800)
    seconds = run.fit("random-cifar10", distiller, X, y)
    n_nets = 20 if on_cpu else run.pick(50, 200)
    yield from report(run, "CIFAR-10", "36.8 ± 1.2", distiller, seconds, n_nets)


def report(
    run: Experiment,
    data: str,
    paper: str,
    distiller: DatasetDistiller,
    seconds: float,
    n_nets: int,
) -> Iterator[Cell]:
    """Score held-out nets at the end, and a few nets after each step on every fifth test image."""
    _, _, X_test, y_test = load(data.replace("-", "").lower())
    scores = distiller.evaluate(X_test, y_test, n_inits=n_nets)
    yield cell(f"{data}, 100 images", paper, scores.scores, seconds)
    steps = distiller.evaluate(X_test[::5], y_test[::5], n_inits=n_nets // 10, each_step=True)
    run.save(overview(distiller, steps.step_scores, data), data)


if __name__ == "__main__":
    main(__file__, __doc__, measure)
