"""One known net: ten images of MNIST, a hundred of MNIST and of CIFAR-10.

This is section 4.1 and figure 2a of the paper. The paper's labels are fixed; here they are learned.
The net trains on ten images for five epochs (the paper: three), and on a hundred for one (the
paper: three). If CIFAR-10 comes from the folder of data sets, its test images are the JPEG copies
there. On a CPU the fit of CIFAR-10 ends after two minutes (quick) or an hour, long before it has
converged.

    python examples/paper/known_init.py [--quick] [--seed 0]
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from paper import Cell, Experiment, cell, load, main, overview

from sklearn_dd import AlexCifarNet, DatasetDistiller, LeNet


def measure(run: Experiment) -> Iterator[Cell]:
    """MNIST, then CIFAR-10, whose iterations take ten times as long."""
    shared = {
        "init": "fixed", "labels": "free", "data_init": "noise", "distill_lr": 0.1,
        "step_size_rate": 1.0, "validation_fraction": 0, "outer_lr": 0.025, "random_share": 0,
    }  # fmt: skip
    ten = DatasetDistiller(1, n_epochs=5, student=LeNet, max_iter=run.pick(4000, 20000), **shared)
    yield from known(run, "MNIST", "10 images", "93.8", ten)
    hundred = DatasetDistiller(
        10, n_steps=10, n_epochs=1, student=LeNet, max_iter=run.pick(1500, 20000), **shared
    )
    yield from known(run, "MNIST", "100 images", "96.6", hundred)
    cifar = DatasetDistiller(
        10, n_steps=10, n_epochs=1, student=AlexCifarNet, max_iter=20000,
        # From noise and with steps of 0.1, the first eighty iterations learned nothing.
        **shared | {"data_init": "real", "distill_lr": 0.02},
    )  # fmt: skip
    if not torch.cuda.is_available():  # small batches allow more iterations in a short time
        cifar.set_params(batch_size=128, max_time=run.pick(120, 3600))
    yield from known(run, "CIFAR-10", "100 images", "54.0", cifar)


def known(
    run: Experiment, data: str, size: str, paper: str, distiller: DatasetDistiller
) -> Iterator[Cell]:
    """Distil for one net, and train that net."""
    X, y, X_test, y_test = load(data.replace("-", "").lower())
    name = f"{data}, {size}"
    seconds = run.fit(f"known-{name.replace(', ', '-').replace(' ', '-')}", distiller, X, y)
    scores = distiller.evaluate(X_test, y_test, each_step=True)
    yield cell(name, paper, scores.scores, seconds)
    run.save(overview(distiller, scores.step_scores, name), f"{data}-{size}".replace(" ", "-"))


if __name__ == "__main__":
    main(__file__, __doc__, measure)
