"""Run all experiments of the paper, or some, and write docs/paper.md from the results of all runs.

    python examples/paper/run.py [--quick] [--seed 0] [script ...]

On a CPU two scripts run at a time, and attack_cifar10 runs only if it is named. The scripts write
their progress to examples/paper/kept. A run that was stopped continues where it was: its fits from
their checkpoints, and its pools from the nets that are trained.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from paper import KEPT, RESULTS, ROOT, close_when_terminated

SCRIPTS = [
    "known_init", "random_init", "baselines", "adaptation", "attack", "attack_cifar10", "alexnet"
]  # fmt: skip
# The long scripts come first. Two of them make a fit, or nets, that later scripts use.
ORDER = [
    "attack_cifar10", "adaptation", "random_init", "known_init", "baselines", "attack", "alexnet"
]  # fmt: skip
UNLESS_NAMED = {"attack_cifar10"}  # left out on a CPU, where its nets alone take more than an hour
AFTER = {"baselines": "random_init", "attack": "adaptation"}
RUNNING: list[subprocess.Popen[str]] = []
PAGE = ROOT / "docs" / "paper.md"
HEAD = """# The paper's experiments

This page repeats every experiment of Wang, Zhu, Torralba and Efros, *Dataset Distillation* (2018),
on real data. The command above each table repeats that table alone. One command runs all
experiments and writes this page:

    python examples/paper/run.py [--quick]

Accuracies are in per cent on the test set: the mean ± standard deviation over the number of scores
in the column *scores*. Each score is that of a held-out net, or of a known net on the data
distilled for it. A scikit-learn model has one score for each set. No test image was used to choose
anything.

*Quick* settings take minutes on two CPU cores, where two scripts run at a time. Step sizes are
learned, as in the paper. Labels are learned too, unlike in the paper. Where a script says so, nets
are trained with another optimiser or for another number of epochs, or step sizes are not learned.
"""


def page() -> str:
    """The whole page, from all results that are there."""
    found = {
        (script, settings): json.loads(path.read_text())
        for script in SCRIPTS
        for settings in ("quick", "full")
        if (path := RESULTS / f"{script}-{settings}.json").exists()
    }
    return "\n".join([HEAD, *times(found), *(section(*of, run) for of, run in found.items())])


def times(found: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    """The total time of the scripts that run on a CPU, where all are known."""
    scripts = [script for script in SCRIPTS if script not in UNLESS_NAMED]
    for settings in ("quick", "full"):
        seconds = [found.get((script, settings), {}).get("seconds") for script in scripts]
        if None not in seconds:
            yield (
                f"With {settings} settings, {', '.join(scripts)} took {sum(seconds) / 60:.0f} "
                "minutes in total.\n"
            )


def section(script: str, settings: str, run: dict[str, Any]) -> str:
    """The section of one run of a script: its command, its table and its figures."""
    rows = ["| | the paper | here | scores | fit |", "|---|---|---|---|---|"]
    for cell in run["cells"]:
        here = f"{100 * cell['mean']:.1f}"
        if cell["unit"] != "%":
            here = f"{cell['mean']:.1f} {cell['unit']}"
        elif cell["n_scores"] > 1:
            here += f" ± {100 * cell['std']:.1f}"
        fit = "" if cell["seconds"] is None else f"{cell['seconds']:.0f} s"
        rows.append(f"| {cell['what']} | {cell['paper']} | {here} | {cell['n_scores']} | {fit} |")
    figures = sorted(RESULTS.glob(f"{script}-*-{settings}.png"))
    images = [f"![{path.stem}](paper/{path.name})\n" for path in figures]
    made = f"`{run['command']} --seed {run['seed']}`, {run['machine']}."
    if "seconds" in run:
        made += f" The script took {run['seconds'] / 60:.0f} minutes."
    title = run["title"].rstrip(".") + ", quick settings" * (settings == "quick")
    return "\n".join([f"## {title}\n", made, "", *rows, "", run["remark"], "", *images])


def run(script: str, flags: list[str], earlier: Future[None] | None) -> None:
    """Run one script and print its results."""
    if earlier is not None:
        earlier.result()
    command = [sys.executable, str(Path(__file__).with_name(f"{script}.py")), *flags]
    progress = KEPT / f"{''.join([script, *flags])}.log"
    print(f"{script}: started, its progress is in {progress}\n", end="", flush=True)
    with (
        progress.open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        RUNNING.append(process)
        for line in process.stdout or ():
            print(f"{script}: {line}", end="", flush=True)
    if process.returncode:
        raise SystemExit(f"{script} ended with {process.returncode}; {progress} says why.")


def main() -> None:
    """Run the scripts and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", metavar="script", help=", ".join(SCRIPTS))
    parser.add_argument("--quick", action="store_true", help="minutes on two CPU cores")
    parser.add_argument("--seed", default="0")
    given = parser.parse_args()
    flags = ["--quick"] * given.quick + ["--seed", given.seed]
    unknown = set(given.scripts) - set(SCRIPTS)
    if unknown:
        parser.error(f"unknown scripts {sorted(unknown)}: choose from {SCRIPTS}")
    close_when_terminated()
    KEPT.mkdir(exist_ok=True)
    at_once = 1 if torch.cuda.is_available() else 2
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
    leave_out = set() if torch.cuda.is_available() else UNLESS_NAMED
    wanted = given.scripts or [script for script in ORDER if script not in leave_out]
    runs: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(at_once) as pool:
        for script in ORDER:
            if script in wanted:
                runs[script] = pool.submit(run, script, flags, runs.get(AFTER.get(script, "")))
        try:
            for one in as_completed(runs.values()):
                one.result()
                PAGE.write_text(page())
        except BaseException:  # start no other script, and stop those that are running
            pool.shutdown(wait=False, cancel_futures=True)
            for process in RUNNING:
                process.terminate()
            raise


if __name__ == "__main__":
    main()
