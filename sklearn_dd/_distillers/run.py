"""A fit as a sequence of outer loops, limited in iterations and time, that can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch

from .._engine import DistilledSet, Iteration, OuterLoop
from .checkpoint import FORMAT, Checkpoint
from .contest import contest_of
from .course import Course
from .monitor import monitor_of
from .phases import Phase
from .problem import Problem
from .steady import steady

_TRIAL = 1 / 4  # of the budget, after which a search begins anew that is no better than a start
_CLOSING = 1 / 50  # of a time limit, which the last looks take
_PRELUDE = 400  # iterations of each phase but the last, where there is no limit


class Run:
    """Yield the outer iterations of all phases of a fit.

    Parameters
    ----------
    problem : Problem
        What is distilled, with the parameters that limit the fit and place its checkpoints.
    distilled : DistilledSet
        The set that is improved in place.
    fallback : DistilledSet
        The set that is returned if nothing better is found.
    each : sequence of DistilledSet
        A start of each kind.
    resumed : Checkpoint
        Where to continue.
    began : float
        When the fit began, in seconds of ``time.monotonic``.

    Attributes
    ----------
    monitor : Monitor
        History of the fit, and the iterate that it keeps.
    course : Course
        The course of the last phase.
    contest : Contest or None
        The choice of a set by the students themselves, where there are models or several students.
    """

    def __init__(
        self,
        problem: Problem,
        distilled: DistilledSet,
        fallback: DistilledSet,
        each: Sequence[DistilledSet],
        resumed: Checkpoint,
        began: float,
    ) -> None:
        self.problem, self.distilled, self.resumed = problem, distilled, resumed
        self.contest = contest_of(problem, distilled, each)
        p = problem.parameters
        self.max_iter, self.max_time = p.max_iter, p.max_time
        self.checkpoint, self.every = p.checkpoint, p.checkpoint_every
        self.monitor = monitor_of(problem, distilled, fallback)
        last = problem.phases[-1] if problem.phases else None
        self.course = Course(
            lambda: self._used_of(last), lambda: self.monitor.is_settled, self._keep
        )
        self.is_interrupted = False
        self.learns_step_sizes = p.step_size_rate > 0 and problem.spec.takes_steps
        self.began = began - resumed.metadata.get("seconds", 0.0)
        self.phase: int = resumed.metadata.get("phase", 0)
        self.loop: OuterLoop | None = None  # of the phase
        if resumed.metadata:
            self.monitor.load(resumed.part("monitor."), resumed.metadata)
            self.course.load(resumed.metadata["course"])
            if self.contest:
                self.contest.load_state_dict(resumed.part("contest."))

    def __iter__(self) -> Iterator[Iteration]:
        phases = self.problem.phases
        first = self.phase
        for k, phase in enumerate(phases[first:], first):
            is_resumed, is_last = bool(self.resumed.metadata) and k == first, phase is phases[-1]
            self.phase, self.loop = k, self._loop(phase, is_last)
            if is_resumed:
                self.loop.load_state_dict(self.resumed.part("loop."))
                self.monitor.n_rejected = self.loop.n_rejected
            elif is_last or k == 0:
                self.monitor.begin(is_last)
                if self.contest and k == 0:
                    self.contest.begin()
            yield from self.loop

    def record(self, iteration: Iteration) -> float | None:
        """Take note of an iteration; return the validation score where one is due.

        After a look that is far worse than the best, the loop returns to the best iterate with
        lower rates, which rise again with every other look: the search goes as fast as it can
        without going astray. After a look with dead students, it takes shorter steps. A search that
        is half over, or settled, and has found nothing better than the best start, begins anew from
        there.
        """
        score = self.monitor.update(iteration)
        assert self.loop is not None
        if self.contest and self.monitor.done >= self.contest.next:
            self.contest.consider(self.monitor.done, self.seconds())
            self.contest.next = self.monitor.done + self.monitor.wait()
        if score is None:
            return None
        if self.monitor.lags and self._is_half_over():
            self.monitor.restart()
            self.loop.restart(self.monitor.start)
        elif self.monitor.dead_share > 0 and self.learns_step_sizes:
            self.loop.calm()
            self.monitor.forget()
        elif self.monitor.is_astray:
            self.loop.retreat(self.monitor.best)
            self.monitor.forget()
        else:
            self.loop.advance()
        return score

    def _is_half_over(self) -> bool:
        """Whether half of the search is over, or all of it because nothing gets better."""
        used = self._used_of(self.problem.phases[-1])
        return self.course.finish_from is None and (used >= _TRIAL or self.monitor.is_settled)

    def close(self, is_interrupted: bool) -> None:
        """End the fit: choose an iterate if none is chosen, and warn of what fell short."""
        self.is_interrupted = is_interrupted
        if self.course.finish_from is None and self.monitor.done:
            self.monitor.keep()
        elif not self.monitor.returns_start:
            self.monitor.end()
        if self.contest and len(self.contest.errors) and self.monitor.done:
            if not is_interrupted:
                self.contest.consider(self.monitor.done, math.inf)
            self.distilled.restore(self.contest.best)
            self.monitor.returns_start = self.contest.best_iter == 0
        if self.monitor.done and self.learns_step_sizes:
            steady(self.problem, self.distilled)
        self.monitor.warn(is_interrupted)

    def _keep(self) -> int:
        """Choose an iterate, from which the finish goes on."""
        kept = self.monitor.keep()
        if self.loop is not None:
            self.loop.last_finite = self.distilled.snapshot()
        return kept

    @property
    def reason(self) -> str:
        """Why the fit ended."""
        if self.is_interrupted:
            return "interrupted"
        if self.monitor.n_rejected:
            return "not finite"
        if self.monitor.returns_start:
            return "no better than the start"
        if self.course.at_most < math.inf:
            return "no longer improved"
        in_iterations = self.max_iter is not None and self.monitor.done >= self.max_iter
        return "max_iter" if in_iterations else "max_time"

    def _loop(self, phase: Phase, is_last: bool) -> OuterLoop:
        """The outer loop of a phase. The last one searches and finishes; others have a share."""
        if is_last:
            return self.problem.outer_loop(
                self.distilled, phase.method, phase.objective, self._sample,
                lambda _: self.course(self.monitor.done),
            )  # fmt: skip

        def share(done: int) -> float:
            is_limited = self.max_iter is not None or self.max_time is not None
            return self._used_of(phase) if is_limited else done / _PRELUDE

        return self.problem.outer_loop(
            self.distilled, phase.method, phase.objective, self.problem.training.sample, share
        )

    def _used_of(self, phase: Phase | None) -> float:
        """Fraction of a phase's share of the limit that is used; 0 without a limit."""
        if phase is None:
            return 0.0
        used = self._budget(self.monitor.done)
        return max(0.0, (used - phase.start) / (phase.end - phase.start))

    def _sample(self, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A real batch: of all samples in the finish, and not of those held out before."""
        searching = self.course.finish_from is None
        return (self.problem.training if searching else self.problem.everything).sample(g)

    def expected(self) -> int:
        """Projected number of iterations of the whole fit."""
        used = self._budget(self.monitor.done)
        return max(self.monitor.done, math.ceil(self.monitor.done / used)) if used else 0

    def write_checkpoint(self) -> None:
        """Write a checkpoint if one is due."""
        is_due = self.checkpoint is not None and self.monitor.done % self.every == 0
        if not is_due or self.loop is None or not self.problem.reducer.is_main():
            return
        parts = {"loop": self.loop.state_dict(), "monitor": self.monitor.state_dict()}
        if self.contest:
            parts["contest"] = self.contest.state_dict()
        tensors = {f"{part}.{k}": t for part, state in parts.items() for k, t in state.items()}
        metadata = {
            "parameters": self.problem.made_of,
            "seed": self.problem.seed,
            **self.monitor.metadata(),
            "course": self.course.state(),
            "budget": self.problem.parameters.plan.seconds,
            "phase": self.phase,
            "seconds": self.seconds(),
        }
        assert self.checkpoint is not None
        FORMAT.write(self.checkpoint, tensors, metadata)

    def _budget(self, done: int) -> float:
        """Fraction of the limit that is used; 0 without a limit."""
        in_iterations = done / self.max_iter if self.max_iter else 0.0
        if self.max_time is None:
            return in_iterations
        # Each process has its own clock, but all must decide alike.
        in_time = self.problem.reducer.from_main(self.seconds() / ((1 - _CLOSING) * self.max_time))
        return max(in_iterations, in_time)

    def seconds(self) -> float:
        """Seconds since the fit began, those before it was resumed included."""
        return time.monotonic() - self.began
