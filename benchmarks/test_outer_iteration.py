"""Limits on the time and memory of one outer iteration, against the naive loop.

``make benchmark`` runs these tests; the usual test run does not. ``engine.py`` has the runs that
are compared, and writes the table of times.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from engine import ROUNDS, ROUNDS_ON_TWO_THREADS, STEPS, kept, naive, rebuilt, shares
from problems import outer_problem, seconds
from torch.profiler import ProfilerActivity, profile

from sklearn_dd._engine.fast import tracing


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _traced_at_once(monkeypatch):
    """As after the first second of a fit."""
    monkeypatch.setattr(tracing, "TRACE_AFTER", 1)


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak bytes that the CPU allocator had handed out, above those at the start."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(nbytes for _, nbytes in sorted(changes)))


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
@pytest.mark.parametrize("n_steps", STEPS)
def test_time(benchmark, network, n_steps):
    ratios = shares(network, n_steps, ROUNDS[network])
    benchmark.extra_info |= ratios
    benchmark.pedantic(kept(outer_problem(network, n_steps)), rounds=ROUNDS[network])
    print(f"\n{network}, T = {n_steps}, fractions of the naive loop's time:", ratios)
    assert ratios["rebuilt"] <= 1.3
    assert ratios["kept"] <= 1.1


def test_time_on_two_threads():
    """Both loops use the threads as they can."""
    torch.set_num_threads(2)
    ratios = shares("LeNet", 30, ROUNDS_ON_TWO_THREADS)
    print("\nLeNet, T = 30, two threads, fractions of the naive loop's time:", ratios)
    assert ratios["kept"] <= 1.1


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_memory(network):
    """A fifth of the naive loop's at T = 100; n more steps need less than n more copies of θ."""
    theta = sum(p.nbytes for p in outer_problem(network, 1).params.values())
    peaks = {n: peak_bytes(rebuilt(outer_problem(network, n))) for n in STEPS}
    plain = peak_bytes(naive(network, 100))
    print(f"\n{network}, peak MB at T = {STEPS}:", [round(b / 1e6, 1) for b in peaks.values()])
    print(f"{network}, naive loop at T = 100: {plain / 1e6:.1f} MB, {plain / peaks[100]:.1f} times")
    assert peaks[100] <= plain / 5
    assert peaks[300] - peaks[100] <= 200 * theta


def test_long_trainings_need_little_memory():
    """A twentieth of the naive loop's at T = 300, for 1.5 times the time of kept graphs."""
    problem = outer_problem("LeNet", 300)
    lean, fast = rebuilt(problem, memory=0), kept(problem)
    share = peak_bytes(naive("LeNet", 300)) / peak_bytes(lean)
    rounds = [(seconds(lean).wall, seconds(fast).wall) for _ in range(ROUNDS["LeNet"] + 1)][1:]
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"\nLeNet, T = 300: 1/{share:.1f} of the memory, {ratio:.2f} of kept graphs' time")
    assert share >= 20
    assert ratio <= 1.5


@pytest.mark.parametrize("network", ["LeNet", "MLP"])
def test_time_is_linear(network):
    """The second hundred steps take as long as the first."""
    runs = {n: rebuilt(outer_problem(network, n)) for n in (100, 200, 300)}
    for run in runs.values():
        run()
    rounds = [{n: seconds(run).wall for n, run in runs.items()} for _ in range(ROUNDS[network])]
    ratio = statistics.median((r[300] - r[200]) / (r[200] - r[100]) for r in rounds)
    print(f"\n{network}: steps 200 to 300 take {ratio:.2f} times as long as 100 to 200")
    assert 0.7 < ratio < 1.4
