"""Time and memory of one outer iteration against the naive loop that keeps every step's graph.

Run with ``make benchmark``; off by default. Times are medians of interleaved runs, on one thread
where no other number is named, and become docs/measured/engine.rst. The engine runs as in the
middle of a fit: steps are traced, and memory that is freed is kept. The naive loop runs as it is.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import accumulate

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from sklearn_dd.engine import traced
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.memory import kept_memory
from sklearn_dd.modules import MLP, LeNet
from sklearn_dd.student import Network, learner
from tests.benchmarks.pages import MACHINE, MEASURED, list_table
from tests.engine.problems import Problem, naive_hypergradient

N_REAL = 1024
ROUNDS = {"LeNet": 9, "MLP": 15}  # the shorter they are, the more they scatter
ROUNDS_ON_TWO_THREADS = 15  # as two threads do
STEPS = [3, 30, 100, 300]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def traced_at_once(monkeypatch):
    """As after the first second of a fit."""
    monkeypatch.setattr(traced, "TRACE_AFTER", 1)


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[tuple[str, int, int], dict[str, float]]]:
    """(network, T, threads) -> shares of the naive loop's time; a page, once all are there."""
    found: dict[tuple[str, int, int], dict[str, float]] = {}
    yield found
    if len(found) == 2 * len(STEPS) + 1:
        (MEASURED / "engine.rst").write_text(page(found))


def page(found: dict[tuple[str, int, int], dict[str, float]]) -> str:
    """The table of docs/measured/engine.rst."""
    rows = [["network", "T", "threads", "graphs kept", "graphs rebuilt"]]
    for (network, n_steps, threads), ratios in sorted(found.items()):
        shares = (f"{ratios[name]:.2f}" for name in ("kept", "rebuilt"))
        rows.append([network, str(n_steps), str(threads), *shares])
    counts = {**ROUNDS, "two threads": ROUNDS_ON_TWO_THREADS}
    rounds = ", ".join(f"{n} ({what})" for what, n in counts.items())
    return f"{MACHINE}, medians of interleaved rounds: {rounds}.\n\n{list_table(rows)}"


def make(network: str, n_epochs: int) -> Problem:
    torch.manual_seed(0)
    module, shape = (LeNet, (1, 28, 28)) if network == "LeNet" else (MLP, (784,))
    p = Problem(
        module(shape, 10), shape, n_classes=10, n_steps=1, n_epochs=n_epochs, batch=10,
        n_real=N_REAL, lr=0.02, spread=0, dtype=torch.float32,
    )  # fmt: skip
    p.learner = learner(
        Network(module, {"sample_shape": shape, "n_classes": 10}, shape), torch.device("cpu")
    )
    return p


def kept(p: Problem) -> Callable[[], object]:
    """One outer iteration as DatasetDistiller makes it on a CPU."""
    estimator = Unrolled(micro_batch=512 if p.x.ndim > 3 else None)
    return lambda: estimator(p.task())


def rebuilt(p: Problem, memory: int | None = None) -> Callable[[], object]:
    """One that spares memory; by default graphs may take a quarter of that of T copies of θ."""
    if memory is None:
        memory = p.lrs.numel() * sum(q.nbytes for q in p.params.values()) // 4
    estimator = Unrolled(memory=memory, micro_batch=128 if p.x.ndim > 3 else None)
    return lambda: estimator(p.task())


def naive(p: Problem) -> Callable[[], object]:
    return lambda: naive_hypergradient(p, classification)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def seconds_of_the_third(run: Callable[[], object]) -> float:
    """Time of a run that follows others, as nearly all of a fit do."""
    run()
    run()
    return seconds(run)


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
def test_time(benchmark, measured, network, n_steps):
    p = make(network, n_steps)
    ratios = measured[network, n_steps, 1] = shares(p, ROUNDS[network])
    benchmark.extra_info |= ratios
    benchmark.pedantic(kept(p), rounds=ROUNDS[network])
    print(f"\n{network}, T = {n_steps}, of the naive loop's time:", ratios)
    assert ratios["rebuilt"] <= 1.3
    assert ratios["kept"] <= 1.1


def test_time_on_two_threads(measured):
    """Both loops use the threads as they can."""
    torch.set_num_threads(2)
    ratios = measured["LeNet", 30, 2] = shares(make("LeNet", 30), ROUNDS_ON_TWO_THREADS)
    print("\nLeNet, T = 30, two threads, of the naive loop's time:", ratios)
    assert ratios["kept"] <= 1.1


def shares(p: Problem, n_rounds: int) -> dict[str, float]:
    """Time of an outer iteration as a share of the naive loop's."""
    ours = {"rebuilt": rebuilt(p), "kept": kept(p)}
    rounds = []
    for _ in range(n_rounds):
        with kept_memory():  # as fit runs the engine
            times = {name: seconds_of_the_third(run) for name, run in ours.items()}
        rounds.append(times | {"naive": seconds_of_the_third(naive(p))})
    return {
        name: statistics.median(r[name] / r["naive"] for r in rounds)
        for name in ("rebuilt", "kept")
    }


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_memory(network):
    """A fifth of the naive loop's at T = 100; for T more steps, fewer than T copies of θ more."""
    theta = sum(p.nbytes for p in make(network, 1).params.values())
    peaks = {n: peak_bytes(rebuilt(make(network, n))) for n in STEPS}
    plain = peak_bytes(naive(make(network, 100)))
    print(f"\n{network}, peak MB at T = {STEPS}:", [round(b / 1e6, 1) for b in peaks.values()])
    print(f"{network}, naive loop at T = 100: {plain / 1e6:.1f} MB, {plain / peaks[100]:.1f} times")
    assert peaks[100] <= plain / 5
    assert peaks[300] - peaks[100] <= 200 * theta


def test_long_trainings_need_little_memory():
    """A twentieth of the naive loop's at T = 300, for half as much time again as kept graphs."""
    p = make("LeNet", 300)
    lean, fast = rebuilt(p, memory=0), kept(p)
    share = peak_bytes(naive(p)) / peak_bytes(lean)
    with kept_memory():
        rounds = [(seconds(lean), seconds(fast)) for _ in range(ROUNDS["LeNet"] + 1)][1:]
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"\nLeNet, T = 300: 1/{share:.1f} of the memory, {ratio:.2f} of kept graphs' time")
    assert share >= 20
    assert ratio <= 1.5


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_time_is_linear(network):
    """The second hundred steps take as long as the first."""
    runs = {n: rebuilt(make(network, n)) for n in (100, 200, 300)}
    for run in runs.values():
        run()
    rounds = [{n: seconds(run) for n, run in runs.items()} for _ in range(ROUNDS[network])]
    ratio = statistics.median((r[300] - r[200]) / (r[200] - r[100]) for r in rounds)
    print(f"\n{network}: steps 200 to 300 take {ratio:.2f} times as long as 100 to 200")
    assert 0.7 < ratio < 1.4
