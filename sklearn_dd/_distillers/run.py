"""A fit as a sequence of outer loops, limited in iterations and time, that can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from .._engine import DistilledSet, Iteration, OuterLoop
from .checkpoint import FORMAT, Checkpoint
from .monitor import Monitor
from .phases import Phase
from .problem import Problem


class Run:
    """Yield the outer iterations of all phases of a fit.

    Parameters
    ----------
    distiller : BaseDistiller
        Read for the parameters that limit the fit and place its checkpoints.
    problem : Problem
        What is distilled.
    distilled : DistilledSet
        The set that is improved in place.
    resumed : Checkpoint
        Where to continue.

    Attributes
    ----------
    monitor : Monitor
        History, best iterate and patience of the fit.
    """

    def __init__(
        self,
        distiller: Any,
        problem: Problem,
        distilled: DistilledSet,
        resumed: Checkpoint,
    ) -> None:
        p = distiller
        self.problem, self.distilled, self.resumed = problem, distilled, resumed
        self.max_iter, self.max_time = p.max_iter, p.max_time
        self.checkpoint, self.every = p.checkpoint, p.checkpoint_every
        self.monitor = Monitor(
            distilled, problem.validator(distilled), p.max_iter, p.n_iter_no_change
        )
        self.began = time.monotonic() - resumed.metadata.get("seconds", 0.0)
        self.phase: int = resumed.metadata.get("phase", 0)
        self.loop: OuterLoop | None = None  # of the phase
        if resumed.metadata:
            self.monitor.load(resumed.part("monitor."), resumed.metadata)

    def __iter__(self) -> Iterator[Iteration]:
        if self.monitor.out_of_patience:  # the checkpoint may be of a fit's last iteration
            return
        first = self.phase
        for k, phase in enumerate(self.problem.phases[first:], first):
            n_iter = round(phase.end * self.max_iter) - round(phase.start * self.max_iter)
            if n_iter:
                loop = self.problem.outer_loop(
                    self.distilled, phase.method, phase.objective, n_iter, self._progress(phase)
                )
                if self.resumed.metadata and k == first:
                    loop.load_state_dict(self.resumed.part("loop."))
                self.phase, self.loop = k, loop
                yield from loop

    def expected(self) -> int:
        """Projected number of iterations of the whole fit."""
        if self.max_time is None:
            return self.max_iter
        in_time = math.ceil(self.monitor.done * self.max_time / self._seconds())
        return min(self.max_iter, max(in_time, self.monitor.done))

    def write_checkpoint(self) -> None:
        """Write a checkpoint if one is due."""
        is_due = self.checkpoint is not None and self.monitor.done % self.every == 0
        if not is_due or self.loop is None or not self.problem.reducer.is_main():
            return
        parts = {"loop": self.loop.state_dict(), "monitor": self.monitor.state_dict()}
        tensors = {f"{part}.{k}": t for part, state in parts.items() for k, t in state.items()}
        metadata = {
            "parameters": self.problem.made_of,
            "seed": self.problem.seed,
            **self.monitor.metadata(),
            "phase": self.phase,
            "seconds": self._seconds(),
        }
        assert self.checkpoint is not None
        FORMAT.write(self.checkpoint, tensors, metadata)

    def _progress(self, phase: Phase) -> Callable[[int], float] | None:
        """Fraction of a phase's time that is over, for the outer loop."""
        limit = self.max_time
        if limit is None:
            return None
        return lambda _: (self._seconds() / limit - phase.start) / (phase.end - phase.start)

    def _seconds(self) -> float:
        return time.monotonic() - self.began
