"""What wants a CUDA GPU: the speed of outer iterations, what precision costs, and CIFAR-10.

    python -m tests.benchmarks.gpu

Written to docs/measured/gpu.rst, row by row. CIFAR-10 comes from where examples/paper finds it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from skorch import NeuralNetClassifier

from sklearn_dd import DatasetDistiller
from sklearn_dd.engine import traced
from sklearn_dd.engine.cuda_graph import CudaGraph
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.ridge import Ridge
from sklearn_dd.modules import ConvNet, LeNet
from sklearn_dd.student import Network, learner
from tests.benchmarks.pages import MEASURED, ROOT, list_table
from tests.engine.problems import Problem, naive_hypergradient

sys.path.insert(0, str(ROOT / "examples" / "paper"))
from paper import Data, load, machine  # beside the scripts that need them most

ROUNDS = 7
N_INITS = [1, 16, 64, 256]
Device = torch.device


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """TF32 for all products and convolutions, or for none: torch's own switches."""
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


def problem(n_inits: int, device: Device) -> Problem:
    """LeNet, 30 steps of 10 images, 1,024 real ones."""
    torch.manual_seed(0)
    shape = (1, 28, 28)
    p = Problem(
        LeNet(shape, 10), shape, n_classes=10, n_steps=10, n_epochs=3, batch=10, n_real=1024,
        lr=0.02, spread=0.01, n_inits=n_inits, dtype=torch.float32,
    )  # fmt: skip
    p.module.to(device)
    p.learner = learner(Network(LeNet, {"sample_shape": shape, "n_classes": 10}, shape), device)
    p.params = {name: q.to(device) for name, q in p.params.items()}
    p.x, p.y, p.lrs = (t.to(device) for t in (p.x, p.y, p.lrs))
    p.real = tuple(t.to(device) for t in p.real)
    return p


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
    """Inits × iterations a second, and what the hypergradient loses."""
    yield ["an outer iteration of", "inits × iterations a second", "× naive", "relative error"]
    with tf32(False):
        one = problem(1, device)
        naive = 1 / seconds(lambda: naive_hypergradient(one, classification), device)
    yield ["the naive loop, one net", f"{naive:.1f}", "1", ""]
    for n_inits in N_INITS:
        with tf32(False):
            exact = Unrolled()(problem(n_inits, device).task())
        for graph in (False, True):
            for name, (options, precision) in PRECISIONS.items():
                p = problem(n_inits, device)  # whose learner has traced no step
                plain = Unrolled(**options)
                estimator = CudaGraph(plain) if graph else plain
                with precision():
                    rate = n_inits / seconds(lambda run=estimator, p=p: run(p.task()), device)
                    found = estimator(p.task())
                error = float((found.x - exact.x).norm() / exact.x.norm())
                what = f"{n_inits} nets, {name}" + ", CUDA graph" * graph
                yield [what, f"{rate:.1f}", f"{rate / naive:.1f}", f"{error:.1e}"]


def score(parameters: dict, data: Data) -> tuple[list[float], float]:
    """Test accuracy of 20 fresh nets, and the seconds of the fit."""
    start = time.perf_counter()
    distiller = DatasetDistiller(validation_fraction=0, **parameters).fit(data.X, data.y)
    spent = time.perf_counter() - start
    found = distiller.evaluate(data.X_test, data.y_test, n_inits=20, each_step=False)
    return list(found.scores), spent


def precision_cost(device: Device, max_iter: int = 2000) -> Iterator[list[str]]:
    """Test accuracy on MNIST of fits that differ in precision alone, over three seeds."""
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
    """CIFAR-10, ConvNet of width 128, 10 images of each class, nets that were not seen."""
    yield ["CIFAR-10, random init, 100 images, ConvNet-3", "test accuracy", "± over nets", "fit"]
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
    traced.TRACE_AFTER = 1  # as after the first second of a fit
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
