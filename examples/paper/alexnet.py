"""AlexNet on images of 224 x 224: the cost of one outer iteration.

Section 4.3 of the paper distils for AlexNet with ImageNet weights and a new last layer: one image
per class, one step, three epochs, 20 classes (PASCAL-VOC) or 200 (CUB-200). Those data and weights
do not come with this package. This script measures memory and time on images of noise, beside the
plain loop, which keeps the graph of every step. It also fits a ``DatasetDistiller`` for one known
net on images that have several of 20 labels each, like those of PASCAL-VOC.

    python examples/paper/alexnet.py [--quick] [--seed 0]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from paper import Cell, Experiment, main
from torch.profiler import ProfilerActivity, profile

from sklearn_dd import AlexNet, DatasetDistiller, Unrolled
from sklearn_dd._data import Multiclass
from sklearn_dd._student import Acceleration, choose_student, student_fn
from sklearn_dd.methods import OuterProblem, naive_hypergradient

SHAPE = (3, 224, 224)
N_EPOCHS, N_REAL, N_ITER = 3, 32, 2
PLAIN = Acceleration(*[False for _ in Acceleration._fields])


def measure(run: Experiment) -> Iterator[Cell]:
    """Seconds and gigabytes of this package and of the plain loop."""
    for n_classes in run.pick([20], [20, 200]):
        problem = made_up(n_classes, run.seed)
        runs = {
            "kept graphs": partial(Unrolled(memory=1 << 40), problem),
            "rebuilt graphs": partial(Unrolled(memory=0), problem),
            "plain loop": partial(naive_hypergradient, made_up(n_classes, run.seed, PLAIN)),
        }
        for name, once in runs.items():
            seconds, peak = cost(once)
            yield Cell(f"{n_classes} classes, {name}: time", "", seconds, 0.0, 1, unit="s")
            yield Cell(f"{n_classes} classes, {name}: memory", "", peak / 1e9, 0.0, 1, unit="GB")
    seconds = fit_several_labels(20, run.seed) / N_ITER
    yield Cell("20 labels, several for each image, by fit: time", "", seconds, 0.0, 1, unit="s")


def fit_several_labels(n_labels: int, seed: int) -> float:
    """Seconds of a fit to images of noise, for one known net."""
    rng = np.random.default_rng(seed)
    X = rng.integers(256, size=(2 * n_labels, *SHAPE), dtype=np.uint8)
    others = rng.random((2 * n_labels, n_labels)) < 0.1
    y = np.tile(np.eye(n_labels, dtype=bool), (2, 1)) | others
    torch.manual_seed(seed)
    distiller = DatasetDistiller(
        student=AlexNet, init=AlexNet(SHAPE, n_labels).state_dict(), n_epochs=N_EPOCHS,
        distill_lr=1e-3, data_init="real", outer_lr=0.05, step_size_rate=0.2,
        batch_size=N_REAL, max_iter=N_ITER, validation_fraction=0, random_state=seed,
    )  # fmt: skip
    start = time.monotonic()
    distiller.fit(X, y)
    return time.monotonic() - start


def made_up(n_classes: int, seed: int, acceleration: Acceleration | None = None) -> OuterProblem:
    """One image of noise per class, one known net, and some real images of noise."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    targets = Multiclass(np.arange(n_classes))
    spec = choose_student(AlexNet, SHAPE, targets)
    return OuterProblem(
        student_fn(spec, device, targets.loss, acceleration),
        {name: p.detach()[None].to(device) for name, p in spec().named_parameters()},
        torch.randn(1, n_classes, *SHAPE, device=device),
        torch.eye(n_classes, device=device)[None],
        torch.full((N_EPOCHS, 1), 1e-3, device=device),
        targets.objective,
        (
            torch.randn(N_REAL, *SHAPE, device=device),
            torch.randint(n_classes, (N_REAL,), device=device),
        ),
        torch.Generator(),
    )


def cost(run: Callable[[], object]) -> tuple[float, int]:
    """Seconds of one call, and its peak memory in bytes of tensors."""
    peak = peak_bytes(run)  # comes first, because a call to warm up is needed anyway
    start = time.monotonic()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic() - start, peak


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak bytes of tensors during a call, above those at its start."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - held
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(nbytes for _, nbytes in sorted(changes)))


if __name__ == "__main__":
    main(__file__, __doc__, measure)
