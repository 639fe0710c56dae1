"""Time of the same outer iterations by two processes of one thread each, against one.

Run with ``make benchmark``; off by default. One process works while the other sleeps, then both
work together, in turns, as in the middle of a fit: steps are traced, and memory that is freed is
kept. Ratios are medians over rounds. The one by processor time, in which waiting for each other
does not count, is what a machine with two free cores comes near to.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from sklearn_dd.engine import priors, traced
from sklearn_dd.engine.distilled_set import DistilledSet
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.engine.outer_loop import OuterLoop
from sklearn_dd.engine.reducer import Alone, Reducer, join
from sklearn_dd.memory import kept_memory
from sklearn_dd.modules import LeNet

from .test_outer_iteration import Problem, make

N_STEPS, N_INITS, ITERATIONS, ROUNDS = 30, 4, 2, 9


def work(p: Problem, reducer: Reducer) -> list[object]:
    loop = OuterLoop(
        DistilledSet(p.x, p.y, p.lrs), Unrolled(micro_batch=512), p.learner,
        priors.random(lambda: LeNet((1, 28, 28), 10)), lambda g: p.real, classification,
        max_iter=ITERATIONS, lr=0.01, step_size_lr=0.01, n_inits=N_INITS, seed=0, reducer=reducer,
    )  # fmt: skip
    return list(loop)


def times(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of this process on a processor."""
    start = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start[0], time.process_time() - start[1]


@kept_memory()
def race(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    traced.TRACE_AFTER = 1
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    p, together, rounds = make("LeNet", N_STEPS), join(), []
    for _ in range(ROUNDS + 1):
        dist.barrier()
        alone = times(lambda: work(p, Alone())) if together.is_main() else (0.0, 0.0)
        dist.barrier()
        both = times(lambda: work(p, together))
        rounds.append([a / b for a, b in zip(alone, both, strict=True)])
    if together.is_main():
        (folder / "rounds").write_text(json.dumps(rounds[1:]))


def test_two_processes_are_faster_than_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=race, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    rounds = json.loads((tmp_path / "rounds").read_text())
    clock, processor = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
    print(f"\ntwo against one: {clock:.2f} × as fast, {processor:.2f} by processor time; {rounds}")
    assert clock >= 1.5
