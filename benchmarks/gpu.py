"""What needs a CUDA GPU: the speed of outer iterations, the cost of low precision, and CIFAR-10.

    python -m benchmarks.gpu

The tables are written to docs/measured/gpu.rst, row by row. MNIST and CIFAR-10 come from where
examples/paper finds them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from skorch import NeuralNetClassifier

from sklearn_dd import ConvNet, CudaGraph, DatasetDistiller, LeNet, Ridge, Unrolled
from sklearn_dd.methods import OuterProblem, naive_hypergradient

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "paper"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from pages import MEASURED, list_table
from paper import Data, load, machine
from problems import PLAIN, outer_problem, trace_at_once

ROUNDS = 7
N_INITS = [1, 16, 64, 256]
Device = torch.device


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """TF32 on or off for all products and convolutions, by torch's own switches."""
    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = enabled
    try:
        yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


PRECISIONS: dict[str, tuple[dict, Callable[[], AbstractContextManager]]] = {
    "float32": ({}, partial(tf32, False)),
    "TF32": ({}, partial(tf32, True)),
    "bfloat16 in the outer pass": ({"outer_dtype": torch.bfloat16}, partial(tf32, False)),
}


def problem(n_inits: int, device: Device, **options: Any) -> OuterProblem:
    """LeNet, 30 steps of 10 images, 1,024 real ones."""
    return outer_problem(
        "LeNet", 3, n_steps=10, n_inits=n_inits, spread=0.01, device=device, **options
    )


def seconds(run: Callable[[], object], device: Device) -> float:
    """Median time of a call."""
    wait = torch.cuda.synchronize if device.type == "cuda" else nullcontext
    times = []
    for _ in range(ROUNDS + 3):
        wait()
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def speed(device: Device) -> Iterator[list[str]]:
    """Inits × iterations a second, and the relative error of the hypergradient."""
    yield ["an outer iteration of", "inits × iterations a second", "× naive", "relative error"]
    with tf32(False):
        one = problem(1, device, acceleration=PLAIN)
        naive = 1 / seconds(lambda: naive_hypergradient(one), device)
    yield ["the naive loop, one student", f"{naive:.1f}", "1", ""]
    for n_inits in N_INITS:
        with tf32(False):
            exact = Unrolled()(problem(n_inits, device))
        for graph in (False, True):
            for name, (options, precision) in PRECISIONS.items():
                p = problem(n_inits, device)  # its student has traced no step yet
                plain = Unrolled(**options)
                method = CudaGraph(plain) if graph else plain
                with precision():
                    rate = n_inits / seconds(partial(method, p), device)
                    found = method(p)
                error = float((found.x - exact.x).norm() / exact.x.norm())
                what = f"{n_inits} students, {name}" + ", CUDA graph" * graph
                yield [what, f"{rate:.1f}", f"{rate / naive:.1f}", f"{error:.1e}"]


def score(parameters: dict, data: Data) -> tuple[list[float], float]:
    """Test accuracies of 20 fresh students, and the seconds of the fit."""
    start = time.perf_counter()
    distiller = DatasetDistiller(validation_fraction=0, **parameters).fit(data.X, data.y)
    spent = time.perf_counter() - start
    found = distiller.evaluate(data.X_test, data.y_test, n_inits=20)
    return list(found.scores), spent


def precision_cost(device: Device, max_iter: int = 2000) -> Iterator[list[str]]:
    """Test accuracy on MNIST over three seeds, of fits that differ in precision alone."""
    yield ["MNIST, random init, 100 images, LeNet", "test accuracy", "± over seeds", "fit"]
    data = load("mnist")
    for name, (options, precision) in PRECISIONS.items():
        with precision():
            runs = [
                score(
                    {
                        "method": CudaGraph(Unrolled(**options)), "student": LeNet, "n_steps": 10,
                        "n_per_class": 10, "n_epochs": 3, "labels": "soft", "n_inits": 16,
                        "max_iter": max_iter, "device": device, "random_state": seed,
                    },
                    data,
                )
                for seed in range(3)
            ]  # fmt: skip
        means = [statistics.fmean(scores) for scores, _ in runs]
        spent = statistics.median(s for _, s in runs)
        spread = statistics.pstdev(means)
        yield [name, f"{statistics.fmean(means):.4f}", f"± {spread:.4f}", f"{spent:.0f} s"]


def cifar10(device: Device, max_time: float = 1380) -> Iterator[list[str]]:
    """CIFAR-10: a ConvNet of width 128, 10 images of each class, fresh students."""
    yield [
        "CIFAR-10, random init, 100 images, ConvNet-3",
        "test accuracy",
        "± over students",
        "fit",
    ]
    student = NeuralNetClassifier(ConvNet, module__width=128, optimizer=torch.optim.Adam)
    scores, spent = score(
        {
            "method": [Ridge(), Unrolled(window=10)], "student": student, "n_per_class": 10,
            "n_epochs": 100, "distill_lr": 0.003, "labels": "soft", "data_init": "real",
            "outer_lr": 0.02, "augment": "flip", "max_iter": 10**6, "max_time": max_time,
            "device": device, "random_state": 0,
        },
        load("cifar10"),
    )  # fmt: skip
    mean, spread = statistics.fmean(scores), statistics.pstdev(scores)
    yield ["Ridge, then windows", f"{mean:.3f}", f"± {spread:.3f}", f"{spent:.0f} s"]


def main(device: Device) -> None:
    trace_at_once()
    tables: list[str] = []
    for measure in (speed, precision_cost, cifar10):
        rows: list[list[str]] = []
        for row in measure(device):
            print(*row, sep=" | ", flush=True)
            rows.append(row)
            text = "\n".join([f"{machine()}.\n", *tables, list_table(rows)])
            (MEASURED / "gpu.rst").write_text(text)
        tables.append(list_table(rows))


if __name__ == "__main__":
    if not torch.cuda.is_available():
        raise SystemExit("There is no CUDA GPU here, so nothing is measured.")
    main(torch.device("cuda"))
