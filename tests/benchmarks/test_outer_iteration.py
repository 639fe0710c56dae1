"""Time and memory of one outer iteration against the naive loop that keeps every step's graph.

Run with ``make benchmark``; off by default. Times are medians of interleaved runs on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.modules import MLP, LeNet
from tests.engine.problems import Problem, naive_hypergradient

N_REAL, ROUNDS = 1024, 5
STEPS = [3, 30, 100, 300]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(network: str, n_epochs: int) -> Problem:
    torch.manual_seed(0)
    shape = (1, 28, 28) if network == "LeNet" else (784,)
    module: nn.Module = LeNet(shape, 10) if network == "LeNet" else MLP(shape, 10)
    return Problem(
        module, shape, n_classes=10, n_steps=1, n_epochs=n_epochs, batch=10, n_real=N_REAL,
        lr=0.02, dtype=torch.float32,
    )  # fmt: skip


def engine(p: Problem) -> Callable[[], object]:
    slices = 128 if p.x.ndim > 3 else None  # as DatasetDistiller cuts them on a CPU
    return lambda: Unrolled(micro_batch=slices)(
        p.apply, p.params, p.x, p.y, p.lrs, classification, p.real
    )


def naive(p: Problem) -> Callable[[], object]:
    return lambda: naive_hypergradient(p.module, p.params, p.x, p.y, p.lrs, classification, p.real)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_bytes(run: Callable[[], object]) -> int:
    """Most bytes that the CPU allocator had handed out at one time, above the start."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(nbytes for _, nbytes in sorted(changes)))


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
@pytest.mark.parametrize("n_steps", STEPS)
def test_time(benchmark, network, n_steps):
    p = make(network, n_steps)
    ours, theirs = engine(p), naive(p)
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    ratio = statistics.median(a / b for a, b in pairs)
    benchmark.extra_info["time / naive"] = ratio
    benchmark.pedantic(ours, rounds=ROUNDS)
    print(f"\n{network}, T = {n_steps}: {ratio:.2f} of the naive loop's time")
    assert ratio <= 1.3


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_memory(network):
    """A fifth of the naive loop's at T = 100; for T more steps, fewer than T copies of θ more."""
    theta = sum(p.nbytes for p in make(network, 1).params.values())
    peaks = {n: peak_bytes(engine(make(network, n))) for n in STEPS}
    kept = peak_bytes(naive(make(network, 100)))
    print(f"\n{network}, peak MB at T = {STEPS}:", [round(b / 1e6, 1) for b in peaks.values()])
    print(f"{network}, naive loop at T = 100: {kept / 1e6:.1f} MB, {kept / peaks[100]:.1f} times")
    assert peaks[100] <= kept / 5
    assert peaks[300] - peaks[100] <= 200 * theta


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_time_is_linear(network):
    """The second hundred steps take as long as the first."""
    runs = {n: engine(make(network, n)) for n in (100, 200, 300)}
    for run in runs.values():
        run()
    rounds = [{n: seconds(run) for n, run in runs.items()} for _ in range(ROUNDS)]
    ratio = statistics.median((r[300] - r[200]) / (r[200] - r[100]) for r in rounds)
    print(f"\n{network}: steps 200 to 300 take {ratio:.2f} times as long as 100 to 200")
    assert 0.7 < ratio < 1.4
