"""A fit as a sequence of outer loops, limited in iterations and time, and to be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .callbacks import Monitor
from .engine.hypergradient import Estimator
from .engine.outer_loop import Iteration, OuterLoop
from .files import Format, PathLike
from .methods import Phase

CHECKPOINT = Format("sklearn_dd.checkpoint", 1, "a checkpoint", "DatasetDistiller(checkpoint=...)")

MakeLoop = Callable[[Estimator, int, Callable[[int], float] | None], OuterLoop]
"""(estimator, iterations, share that is spent of another budget) -> the loop of one phase."""


@dataclass
class Saved:
    """What a checkpoint holds."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: PathLike) -> Saved:
        """Read a checkpoint."""
        return cls(*CHECKPOINT.read(path))

    def check(self, parameters: dict[str, Any]) -> None:
        """Refuse to go on with other parameters or data."""
        before = self.facts.get("parameters", parameters)
        changed = sorted(k for k in parameters if before.get(k) != parameters[k])
        if changed:
            raise ValueError(
                "resume_from belongs to another fit: "
                + ", ".join(f"{k} was {before.get(k)!r} and is {parameters[k]!r}" for k in changed)
                + ". Give data and parameters as they were, or start anew."
            )

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix``, without it."""
        return {k.removeprefix(prefix): t for k, t in self.tensors.items() if k.startswith(prefix)}


class Run:
    """Go through the phases of a fit; yield each iteration and the score where one is measured.

    Parameters
    ----------
    phases : sequence of Phase
        What follows what.
    make_loop : callable
        Makes the outer loop of a phase.
    monitor : Monitor
        Keeps history and best iterate.
    max_iter : int
        Iterations of all phases together.
    max_time : float or None
        Seconds for all of them.
    checkpoint : path-like or None
        Where to write what a resumed run needs.
    every : int
        Iterations from one checkpoint to the next.
    facts : dict
        What a checkpoint should know of the fit: its ``parameters`` and its ``seed``.
    saved : Saved
        Where to go on.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        make_loop: MakeLoop,
        monitor: Monitor,
        *,
        max_iter: int,
        max_time: float | None,
        checkpoint: PathLike | None,
        every: int,
        facts: dict[str, Any],
        saved: Saved,
    ) -> None:
        self.phases, self.make_loop, self.monitor = phases, make_loop, monitor
        self.max_iter, self.max_time = max_iter, max_time
        self.checkpoint, self.every = checkpoint, every
        self.facts, self.saved = facts, saved
        self.began = time.monotonic() - saved.facts.get("seconds", 0.0)
        if saved.facts:
            monitor.load(saved.part("monitor."), saved.facts)

    def __iter__(self) -> Iterator[tuple[Iteration, float | None]]:
        first = self.saved.facts.get("phase", 0)
        starts = [0.0, *(phase.end for phase in self.phases)]
        for k, (start, phase) in enumerate(zip(starts, self.phases, strict=False)):
            n_iter = round(phase.end * self.max_iter) - round(start * self.max_iter)
            if k < first or n_iter == 0:
                continue
            loop = self.make_loop(phase.estimator, n_iter, self._spent(start, phase.end))
            if self.saved.facts and k == first:
                loop.load_state_dict(self.saved.part("loop."))
            for iteration in loop:
                score = self.monitor.look(iteration)
                if self.monitor.done % self.every == 0 and loop.reducer.is_main():
                    self._write(loop, k)
                yield iteration, score
        self.monitor.close()

    def expected(self) -> int:
        """Iterations that the whole fit will have taken, at the rate of those that are done."""
        if self.max_time is None:
            return self.max_iter
        in_time = math.ceil(self.monitor.done * self.max_time / self._seconds())
        return min(self.max_iter, max(in_time, self.monitor.done))

    def _spent(self, start: float, end: float) -> Callable[[int], float] | None:
        """Share of the time from ``start`` to ``end`` that is over."""
        limit = self.max_time
        if limit is None:
            return None
        return lambda _: (self._seconds() / limit - start) / (end - start)

    def _seconds(self) -> float:
        return time.monotonic() - self.began

    def _write(self, loop: OuterLoop, phase: int) -> None:
        if self.checkpoint is None:
            return
        parts = {"loop": loop.state_dict(), "monitor": self.monitor.state_dict()}
        tensors = {f"{part}.{k}": t for part, state in parts.items() for k, t in state.items()}
        facts = self.facts | self.monitor.facts() | {"phase": phase, "seconds": self._seconds()}
        CHECKPOINT.write(self.checkpoint, tensors, facts)
