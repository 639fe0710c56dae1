"""Time of the same outer iterations in two processes of one thread each, against one process.

``make benchmark`` runs this test; the usual test run does not. In turns, one process works while
the other sleeps, and then both work together. Steps are traced, as in the middle of a fit. Ratios
are medians over rounds. Processor time leaves out the time that the processes wait for each other;
a machine with two free cores comes close to its ratio.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from problems import default_method, outer_problem, seconds, trace_at_once

from sklearn_dd import LeNet
from sklearn_dd._engine import DistilledSet, OuterLoop, OuterProblem, Reducer, join, priors
from sklearn_dd._engine.reducer import Alone

N_STEPS, N_INITS, ITERATIONS, ROUNDS = 30, 4, 2, 9


def work(problem: OuterProblem, reducer: Reducer) -> Callable[[], object]:
    """Some outer iterations."""
    loop = OuterLoop(
        DistilledSet(problem.x, problem.y, problem.lrs), default_method(problem), problem.student,
        priors.random(lambda: LeNet((1, 28, 28), 10)), lambda g: problem.real, problem.objective,
        max_iter=ITERATIONS, lr=0.01, step_size_lr=0.01, n_inits=N_INITS, seed=0, reducer=reducer,
    )  # fmt: skip
    return lambda: list(loop)


def race(rank: int, folder: Path) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    trace_at_once()
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    problem, together, rounds = outer_problem("LeNet", N_STEPS), join(), []
    for _ in range(ROUNDS + 1):
        dist.barrier()
        alone = seconds(work(problem, Alone())) if together.is_main() else (0.0, 0.0)
        dist.barrier()
        both = seconds(work(problem, together))
        rounds.append([a / b for a, b in zip(alone, both, strict=True)])
    if together.is_main():
        (folder / "rounds").write_text(json.dumps(rounds[1:]))
    dist.destroy_process_group()


def test_two_processes_are_faster_than_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=race, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    rounds = json.loads((tmp_path / "rounds").read_text())
    wall, cpu = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
    print(f"\ntwo against one: {wall:.2f} × as fast, {cpu:.2f} by processor time; {rounds}")
    assert wall >= 1.5
