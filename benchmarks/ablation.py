"""What each piece of acceleration gains: whole outer iterations with one piece off, or all.

    python benchmarks/ablation.py [--rounds N]

The runs without a piece alternate with full runs in one process, and each is divided by the mean of
the full runs before and after it. A second table compares processes with and without the memory
allocator's settings that the user guide recommends. Both are in docs/measured/ablation.rst; the
single rounds are in docs/measured/ablation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from pages import MACHINE, MEASURED, list_table
from problems import PLAIN, default_method, outer_problem, seconds, trace_at_once

from sklearn_dd._student import Acceleration

ROWS = [
    *((name, n_epochs, n) for name in ("LeNet", "MLP") for n_epochs in (3, 30, 100)
      for n in (1024, 256)),
    *((name, n_epochs, 1024) for name in ("ConvNet 8 × 8", "ConvNet 16 × 16")
      for n_epochs in (3, 30)),
]  # fmt: skip
OFF = {piece: Acceleration()._replace(**{piece: False}) for piece in Acceleration._fields}
OFF["all"] = PLAIN
AT_LEAST = 0.05  # seconds of a timed block; shorter runs are repeated
PROCESSES = 5  # of each kind, for the allocator
SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


def warm(network: str, n_epochs: int, n_real: int, on: Acceleration) -> Callable[[], object]:
    """An outer iteration, after it has run twice."""
    problem = outer_problem(network, n_epochs, n_real=n_real, acceleration=on)
    run = partial(default_method(problem), problem)
    run()
    run()
    return run


def ablate(network: str, n_epochs: int, n_real: int, n_rounds: int) -> dict[str, Any]:
    """Milliseconds of the full runs, and the ratios off / on of each round."""
    on = warm(network, n_epochs, n_real, Acceleration())
    # Convolutions and pooling are not in an MLP, and a first linear layer is in it alone.
    of_others = {"convolution", "pooling", "all"} if network == "MLP" else {"span"}
    pieces = [piece for piece in OFF if piece not in of_others]
    off = {piece: warm(network, n_epochs, n_real, OFF[piece]) for piece in pieces}
    repeats = max(1, round(AT_LEAST / seconds(on).cpu))
    full = [seconds(on, repeats)]
    ratios: dict[str, dict[str, list[float]]] = {piece: {"wall": [], "cpu": []} for piece in off}
    for _ in range(n_rounds):
        for piece, run in off.items():
            without = seconds(run, repeats)
            full.append(seconds(on, repeats))
            for clock, of_clock in ratios[piece].items():
                before, after = (getattr(neighbour, clock) for neighbour in full[-2:])
                of_clock.append(2 * getattr(without, clock) / (before + after))
    wall = [1000 * one.wall for one in full]
    return {"row": [network, n_epochs, n_real], "ratios": ratios, "wall": wall}


def allocator() -> Iterator[list[str]]:
    """Outer iterations in fresh processes, with and without the settings in turns."""
    yield ["network", "default", "with the settings", "default / settings", "page faults"]
    for network in ("LeNet", "ConvNet 16 × 16"):
        found: dict[str, list[dict[str, float]]] = {"default": [], "settings": []}
        for kind in PROCESSES * [*found]:
            clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
            done = subprocess.run(
                [sys.executable, __file__, "--time", network],
                env=clean | (SETTINGS if kind == "settings" else {}),
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            found[kind].append(json.loads(done.stdout))
        times = {kind: [1000 * run["cpu"] for run in runs] for kind, runs in found.items()}
        ratios = [a / b for a, b in zip(*times.values(), strict=True)]
        faults = (statistics.median(run["faults"] for run in runs) for runs in found.values())
        ms = (f"{statistics.median(of_kind):.0f} ms" for of_kind in times.values())
        yield [network, *ms, quartiles(ratios), " / ".join(f"{n:,.0f}" for n in faults)]


def time_alone(network: str, n_runs: int = 7) -> None:
    """Print the median time and page faults of an outer iteration of this process."""
    run = warm(network, 30, 1024, Acceleration())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    cpu = statistics.median(seconds(run).cpu for _ in range(n_runs))
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(json.dumps({"cpu": cpu, "faults": faults / n_runs}))


def quartiles(ratios: list[float]) -> str:
    """The median, and the first and third quartile."""
    low, mid, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{mid:.2f} [{low:.2f}–{high:.2f}]"


def page(found: list[dict[str, Any]], allocated: list[list[str]], command: str) -> str:
    """The reStructuredText of all that is measured."""
    rows = [["network", "T", "real batch", "all pieces on", *(f"{piece} off" for piece in OFF)]]
    for of in found:
        cells = [quartiles(of["ratios"][p]["cpu"]) if p in of["ratios"] else "" for p in OFF]
        rows.append([*map(str, of["row"]), f"{statistics.median(of['wall']):.0f} ms", *cells])
    n_rounds = len(found[0]["ratios"]["tracing"]["cpu"])
    head = (
        f"``{command}``, one thread of a {MACHINE}. Milliseconds are medians of wall time. The\n"
        "other columns are the time with a piece off over the time with all pieces on: medians\n"
        f"and quartiles of {n_rounds} paired rounds, by processor time. Ten images a step.\n\n"
    )
    below = (
        f"\nThe memory allocator: T = 30, a real batch of 1,024, {PROCESSES} fresh processes of "
        "each kind in turns,\nmedians of the processor time and page faults of an outer iteration. "
        f"The settings are\n``{' '.join(f'{k}={v}' for k, v in SETTINGS.items())}``.\n\n"
    )
    return head + list_table(rows) + (below + list_table(allocated) if allocated else "")


def main() -> None:
    parser = argparse.ArgumentParser(description="What each piece of acceleration gains.")
    parser.add_argument("--rounds", type=int, default=12, help="at least two")
    parser.add_argument("--time", help=argparse.SUPPRESS)  # for the processes of the allocator
    given = parser.parse_args()
    torch.set_num_threads(1)
    trace_at_once()
    if given.time:
        time_alone(given.time)
        return
    command = f"python benchmarks/ablation.py --rounds {given.rounds}"
    found: list[dict[str, Any]] = []
    for row in ROWS:
        found.append(ablate(*row, given.rounds))
        print(*row, {p: quartiles(of["cpu"]) for p, of in found[-1]["ratios"].items()}, flush=True)
        (MEASURED / "ablation.json").write_text(json.dumps(found) + "\n")
        (MEASURED / "ablation.rst").write_text(page(found, [], command))
    allocated = [*allocator()]
    (MEASURED / "ablation.rst").write_text(page(found, allocated, command))


if __name__ == "__main__":
    main()
