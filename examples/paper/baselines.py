"""What distilled images have to beat: the paper's baselines on MNIST, a hundred images each.

The paper, table 1: random real images, the best of many random sets, class means, k-means, and the
nearest neighbour on each of them; here also k-centre and herding. Sets of the paper's hundred
images, thirty steps, with one fixed step size chosen on training images and, with full settings, a
learned schedule too.

    python examples/paper/baselines.py [--quick] [--seed 0]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paper import Cell, Experiment, load, main
from random_init import on_mnist

from sklearn_dd import all_baselines, compare

PAPER = {
    ("distilled", "LeNet"): "79.5 ± 8.1",
    ("RandomSamples", "LeNet"): "68.6",
    ("RandomSamples, best of 20", "LeNet"): "73.0",
    ("KMeansCenters", "LeNet"): "76.4",
    ("ClassMeans", "LeNet"): "77.1",
    ("RandomSamples", "nearest neighbour"): "71.5",
    ("KMeansCenters", "nearest neighbour"): "92.2",
}


def measure(run: Experiment) -> Iterator[Cell]:
    """Every set with every model."""
    distiller, _ = on_mnist(run)
    schedules = run.pick(["fixed"], ["fixed", "learned"])
    X, y, X_test, y_test = load("mnist")
    comparison = compare(
        distiller, X, y, X_test, y_test, n_inits=run.pick(20, 100), full_epochs=1, verbose=1,
        baselines=all_baselines(distiller, schedules, random_state=run.seed),
    )  # fmt: skip
    run.remark = comparison.verdict
    yield from map(row, comparison.table.to_dict("records"))


def row(of: dict[str, Any]) -> Cell:
    """A cell of one row of the table."""
    name, schedule = f"{of['model']} on {of['data']}", of["schedule"]
    paper = PAPER.get((of["data"], of["model"]), "")
    if schedule == "learned" and of["data"] != "distilled":
        paper = ""  # its baselines have no learned step sizes
    if schedule:
        name += f", {schedule} step sizes"
    return Cell(name, paper, of["mean"], of["std"], of["n_scores"])


if __name__ == "__main__":
    main(__file__, __doc__, measure)
