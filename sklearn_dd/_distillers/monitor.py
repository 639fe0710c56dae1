"""The history of a fit, and the iterate that the evidence speaks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .._engine import DistilledSet, Iteration
from .._guards import warn_user
from .look import Look, looker
from .problem import Problem

_LOOKS, _BETWEEN = 20, 25  # at the set, in a fit of known length; or iterations between two
_LATE, _FAR = 1 / 20, 200  # late in a fit, a share of the iterations so far, but not more than 200
_RECENT = 4  # looks whose mean loss is compared: iterates are noisy
_WORSE = 0.5  # standard errors by which the last iterate may be worse than the one that is kept
_ASTRAY = 3  # standard errors by which a set is worse than the best if the rates are too large
_PATIENCE = 0.4  # of the iterations so far: after these without a better iterate the search ends
_LEAST_PATIENCE = 150  # iterations
_CLEARLY = 0.02  # the share of a loss by which a better one is clearly better
# Of the looks that are remembered.
_LOSSES = "best_losses", "latest_losses", "recent_losses", "start_losses"


class Monitor:
    """Keep the history of a fit, and choose an iterate.

    Each look scores the distilled set on parts of the held-out samples. The mean over the last few
    looks says how good the iterates there are. The last iterate is kept unless this mean was better
    before by more than half of its standard error over the parts: differences smaller than that are
    noise, and the best of many noisy scores is not the best iterate.

    Parameters
    ----------
    distilled : DistilledSet
        The set that the outer loop improves in place.
    start : list of Tensor
        A snapshot of the set that is returned if nothing better is found.
    look : callable or None
        Scores the set as it is. With ``None`` the training loss is all that is known.
    max_iter : int or None
        Iterations of the whole fit, where they are known.
    patience : int or None
        Iterations without a better iterate after which nothing is expected to get better. ``None``
        takes 150, or 0.4 of the iterations so far if those are more.
    is_limited : bool, default=False
        Whether the fit has another limit.
    """

    def __init__(
        self,
        distilled: DistilledSet,
        start: list[Tensor],
        look: Callable[[], Look] | None,
        max_iter: int | None,
        patience: int | None,
        is_limited: bool = False,
    ) -> None:
        self.distilled, self.look, self.patience = distilled, look, patience
        self.is_limited = is_limited
        self.every = min(math.ceil(max_iter / _LOOKS) if max_iter else _BETWEEN, _BETWEEN)
        self.every = min(self.every, patience or self.every)
        self.next_look = self.every
        self.best, self.best_losses = distilled.snapshot(), torch.tensor([math.inf])
        self.best_iter = 0  # the last iteration that was better than all before it,
        self.progress_iter, self.reference = 0, math.inf  # and the last that was clearly better
        self.latest_losses = self.start_losses = self.best_losses
        self.recent_losses = self.best_losses[None][:0]  # (n_looks, n_parts), after the start
        self.start_score = -math.inf
        self.start, self.is_looking = start, True
        self.may_restart = False  # from a start that is better than where the search began
        self.kept_iter: int | None = None  # the iterate that the search ended with
        self.returns_start = False  # what a search ends with that did no better
        self.dead_share = 0.0  # of students, at the last look
        self.done = self.n_rejected = 0
        self.history: dict[str, list[Any]] = {
            name: []
            for name in (
                "loss", "gradient_norm", "validation_iter", "validation_score", "dead_share"
            )
        }  # fmt: skip

    def begin(self, is_last: bool) -> None:
        """Look at the set before the first iteration, and before the last phase.

        Looks begin with the last phase: a method that learns no step sizes may improve samples that
        students cannot yet learn from.
        """
        self.is_looking = is_last
        if self.look is None:
            return
        found = self.look()
        self.best, self.best_losses, self.best_iter = (
            self.distilled.snapshot(), found.losses, self.done
        )  # fmt: skip
        self.latest_losses, self.recent_losses = found.losses, found.losses[None][:0]
        self._note(_mean(found.losses))
        if self.done == 0:
            self._compare_starts(self.look, found)

    def _compare_starts(self, look: Callable[[], Look], first: Look) -> None:
        """Fall back to where the search starts, unless the other start is better."""
        found = first
        if not self._is(self.start):
            self.distilled.restore(self.start)
            found = look()
            self.distilled.restore(self.best)
        self.may_restart = _mean(found.losses) < _mean(first.losses)
        if not self.may_restart:
            self.start, found = self.best, first
        self.start_losses, self.start_score = found.losses, found.score

    def update(self, iteration: Iteration) -> float | None:
        """Record an iteration; return the validation score where one is due."""
        self.done += 1
        self.n_rejected = iteration.n_rejected
        self.history["loss"].append(iteration.loss)
        self.history["gradient_norm"].append(iteration.gradient_norm)
        # What was held out is learned from in the finish, so looks would say nothing.
        if not self.is_looking or self.done < self.next_look or self.kept_iter is not None:
            return None
        self.next_look = self.done + self.wait()
        if self.look is None:
            self._consider_training_loss()
            return None
        found = self.look()
        self.history["validation_iter"].append(self.done)
        self.history["validation_score"].append(found.score)
        self.history["dead_share"].append(found.dead_share)
        self._consider(found)
        return found.score

    def wait(self) -> int:
        """Iterations until the next look. Late in a long fit the set changes little."""
        late = min(int(_LATE * self.done), _FAR, (self.patience or 3 * _FAR) // 3)
        return max(self.every, late if late > _BETWEEN else 0)

    def _consider(self, found: Look) -> None:
        recent = torch.cat([self.recent_losses, found.losses[None]])
        self.recent_losses, self.latest_losses = recent[-_RECENT:], found.losses
        self.dead_share = found.dead_share
        if not _mean(self.recent_losses) >= _mean(self.best_losses):
            self.best, self.best_losses = self.distilled.snapshot(), self.recent_losses.mean(0)
            self.best_iter = self.done
        self._note(_mean(found.losses))

    def _consider_training_loss(self) -> None:
        """Compare the mean training loss since the last look; the last iterate is kept."""
        recent = self.history["loss"][-max(_BETWEEN, self.done // 5) :]
        self._note(sum(recent) / len(recent))

    def _note(self, loss: float) -> None:
        if loss < (1 - _CLEARLY) * self.reference or not math.isfinite(self.reference):
            self.reference, self.progress_iter = loss, self.done

    @property
    def is_settled(self) -> bool:
        """Whether the best iterate was found so long ago that nothing will get better.

        A limit is used up, unless the user asks for patience.
        """
        if self.is_limited and self.patience is None:
            return False
        patience = self.patience or max(_LEAST_PATIENCE, _PATIENCE * self.done)
        return self.done - self.progress_iter >= patience

    @property
    def lags(self) -> bool:
        """Whether no iterate has been better than a start that the search did not begin with."""
        return self.may_restart and not _mean(self.best_losses) < _mean(self.start_losses)

    def restart(self) -> None:
        """Take the best start for the best iterate."""
        self.best, self.best_losses, self.best_iter = self.start, self.start_losses, 0
        self.reference, self.progress_iter = _mean(self.start_losses), self.done
        self.may_restart = False
        self.forget()

    @property
    def is_astray(self) -> bool:
        """Whether the last look was so much worse than the best that the rates are too large."""
        return self.kept_iter is None and _excess(self.latest_losses, self.best_losses) > _ASTRAY

    def _is(self, snapshot: list[Tensor]) -> bool:
        """Whether the set is as it was then: the search may just have returned there."""
        return all(map(torch.equal, self.distilled.snapshot(), snapshot))

    def keep(self) -> int:
        """Return to the best iterate if the last one is worse beyond noise; return which is kept.

        This is the number of iterations that led to it.
        """
        self.kept_iter = self.done
        if self.look is None:
            return self.done
        if not len(self.recent_losses) or self.history["validation_iter"][-1:] != [self.done]:
            self._consider(self.look())
        losses = self.latest_losses
        if _excess(self.recent_losses.mean(0), self.best_losses) > _WORSE or self._is(self.best):
            self.distilled.restore(self.best)
            self.kept_iter, losses = self.best_iter, self.look().losses
        self.best, self.best_losses = self.distilled.snapshot(), losses
        if self.kept_iter == 0:
            self._return_start()
        return self.kept_iter

    def _return_start(self) -> None:
        """Give up what was found for the best start."""
        self.distilled.restore(self.start)
        self.best, self.best_losses = self.start, self.start_losses
        self.returns_start = self.done > 0

    def forget(self) -> None:
        """Take no account of the last looks, because the loop has changed the set by hand."""
        self.recent_losses = self.recent_losses[:0]

    def end(self) -> None:
        """Return to the iterate of the search if the finish made it worse, or to the start.

        A set from which students learn with a higher loss and a better score is not worse.
        """
        if self.done == 0:
            self._return_start()
            return
        if self.look is None:
            return
        found = self.look()
        if _excess(found.losses, self.best_losses) > 1:
            self.distilled.restore(self.best)
            found = self.look()
        if _excess(found.losses, self.start_losses) > 1 and found.score < self.start_score:
            self._return_start()

    def warn(self, is_interrupted: bool) -> None:
        """Warn of what fell short."""
        if self.returns_start and not is_interrupted:
            lrs = self.distilled.lrs.detach()
            size = f", with a mean step size of {float(lrs.mean()):.3g}" if lrs.numel() else ""
            warn_user(
                f"Distillation did not improve on its start, so the best start is returned{size} "
                "(see plan_.reasons['data_init']). Give the fit more time or more samples."
            )
        if (self.history["dead_share"] or [0])[-1] > 0:
            warn_user(
                "Some students learn nothing from the distilled data: their outputs are constant "
                "or not finite. Lower distill_lr, or take a student that normalises its layers."
            )

    def state_dict(self) -> dict[str, Tensor]:
        """The best iterate so far, and its losses."""
        sets = {"best": self.best, "start": self.start}
        return {
            **{f"{name}.{k}": p for name, parts in sets.items() for k, p in enumerate(parts)},
            **{name: getattr(self, name) for name in _LOSSES},
        }

    def metadata(self) -> dict[str, Any]:
        """The rest of the state, which JSON can hold; its names are those of the file."""
        numbers = {
            "best_iter": self.best_iter, "progress": self.progress_iter,
            "reference": self.reference, "next_look": self.next_look, "kept": self.kept_iter,
            "looking": self.is_looking, "start_score": self.start_score,
            "may_restart": self.may_restart,
        }  # fmt: skip
        return {"history": self.history, **numbers}

    def load(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from the state of another monitor."""
        device = self.best[0].device
        n = len(self.best)
        self.best, self.start = (
            [tensors[f"{name}.{k}"].to(device) for k in range(n)] for name in ("best", "start")
        )
        for name in _LOSSES:
            setattr(self, name, tensors[name])
        self.history = metadata["history"]
        self.best_iter, self.next_look = metadata["best_iter"], metadata["next_look"]
        self.progress_iter, self.reference = metadata["progress"], metadata["reference"]
        self.kept_iter, self.is_looking = metadata["kept"], metadata["looking"]
        self.start_score, self.may_restart = metadata["start_score"], metadata["may_restart"]
        self.done = len(self.history["loss"])


def monitor_of(problem: Problem, distilled: DistilledSet, fallback: DistilledSet) -> Monitor:
    """The monitor of a fit."""
    p = problem.parameters
    look = looker(problem, distilled, problem.held_out.rows)
    return Monitor(
        distilled, fallback.snapshot(), look, p.max_iter, p.n_iter_no_change,
        is_limited=p.max_iter is not None or p.max_time is not None,
    )  # fmt: skip


def _mean(losses: Tensor) -> float:
    return float(losses.mean().nan_to_num(math.inf))


def _excess(losses: Tensor, others: Tensor) -> float:
    """By how many standard errors ``losses`` are worse; both are of the same parts."""
    if not losses.isfinite().all() or not others.isfinite().all():
        return math.inf if others.isfinite().all() else -math.inf
    worse = losses - others
    if len(worse) < 2 or not worse.any():
        return 0.0
    return float(worse.mean() / worse.std() * math.sqrt(len(worse)))
