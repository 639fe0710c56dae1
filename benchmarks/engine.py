"""Time of one outer iteration against the naive loop, which keeps the graph of every step.

    python benchmarks/engine.py

Times are medians of interleaved runs, on one thread where the table names no other number. The
engine runs as in the middle of a fit, with traced steps. The naive loop runs without acceleration.
The table is docs/measured/engine.rst. ``make benchmark`` runs this script with the settings of the
memory allocator that the user guide recommends; the page says whether they were set.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from functools import partial

import torch
from pages import MACHINE, MEASURED, list_table
from problems import PLAIN, default_method, outer_problem, seconds, trace_at_once

from sklearn_dd import Unrolled
from sklearn_dd.methods import OuterProblem, naive_hypergradient

ROUNDS = {"LeNet": 9, "MLP": 15}  # the shorter the runs, the more their times scatter
ROUNDS_ON_TWO_THREADS = 15  # two threads scatter more than one
STEPS = [3, 30, 100, 300]
ALLOCATOR = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")

Shares = dict[str, float]


def kept(problem: OuterProblem) -> Callable[[], object]:
    """An outer iteration as DatasetDistiller runs it on a CPU."""
    return partial(default_method(problem), problem)


def rebuilt(problem: OuterProblem, memory: int | None = None) -> Callable[[], object]:
    """An outer iteration whose graphs may take a quarter of the memory of T copies of θ."""
    if memory is None:
        theta = sum(p.nbytes for p in problem.params.values())
        memory = problem.lrs.numel() * theta // 4
    micro_batch = 128 if problem.x.ndim > 3 else None
    return partial(Unrolled(memory=memory, micro_batch=micro_batch), problem)


def naive(network: str, n_epochs: int) -> Callable[[], object]:
    """The naive loop, without acceleration."""
    problem = outer_problem(network, n_epochs, acceleration=PLAIN)
    return lambda: naive_hypergradient(problem)


def shares(network: str, n_epochs: int, n_rounds: int) -> Shares:
    """The time of an outer iteration as a fraction of the naive loop's."""
    problem = outer_problem(network, n_epochs)
    runs = {
        "rebuilt": rebuilt(problem),
        "kept": kept(problem),
        "naive": naive(network, n_epochs),
    }
    rounds = [{name: third(run) for name, run in runs.items()} for _ in range(n_rounds)]
    return {
        name: statistics.median(times[name] / times["naive"] for times in rounds)
        for name in ("rebuilt", "kept")
    }


def third(run: Callable[[], object]) -> float:
    """Seconds of a run that follows two others, as nearly all runs of a fit do."""
    run()
    run()
    return seconds(run).wall


def page(found: dict[tuple[str, int, int], Shares]) -> str:
    """The table of docs/measured/engine.rst."""
    rows = [["network", "T", "threads", "graphs kept", "graphs rebuilt"]]
    for (network, n_steps, threads), ratios in sorted(found.items()):
        fractions = (f"{ratios[name]:.2f}" for name in ("kept", "rebuilt"))
        rows.append([network, str(n_steps), str(threads), *fractions])
    counts = {**ROUNDS, "two threads": ROUNDS_ON_TWO_THREADS}
    rounds = ", ".join(f"{n} ({what})" for what, n in counts.items())
    settings = " ".join(f"{name}={os.environ[name]}" for name in ALLOCATOR if name in os.environ)
    allocator = f"``{settings}``" if settings else "the memory allocator's defaults"
    head = f"{MACHINE}, {allocator}.\nMedians of interleaved rounds: {rounds}.\n\n"
    return head + list_table(rows)


def main() -> None:
    trace_at_once()
    found: dict[tuple[str, int, int], Shares] = {}
    for network, n_rounds in ROUNDS.items():
        for n_steps in STEPS:
            for threads in (1, 2) if (network, n_steps) == ("LeNet", 30) else (1,):
                torch.set_num_threads(threads)
                n = n_rounds if threads == 1 else ROUNDS_ON_TWO_THREADS
                ratios = found[network, n_steps, threads] = shares(network, n_steps, n)
                print(network, n_steps, f"{threads} threads", ratios, sep=" | ", flush=True)
    (MEASURED / "engine.rst").write_text(page(found))


if __name__ == "__main__":
    main()
