"""What a fit shows while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

from .._engine import Iteration
from .._guards import warn_user


class Progress:
    """Report a fit's outer iterations; let Ctrl-C end them, and warn if they diverged.

    Parameters
    ----------
    verbose : int
        0 is silent; 1 shows a progress bar with loss, validation score and time left; 2 adds a line
        for each validation.
    max_iter : int or None
        Iterations of the whole fit, where they are known.
    done : int
        Iterations that are already done.
    """

    def __init__(self, verbose: int, max_iter: int | None, done: int = 0) -> None:
        self.verbose = verbose
        self.bar = tqdm(
            total=max_iter, initial=done, disable=not verbose, desc="distilling", unit="it"
        )
        self.score: float | None = None
        self.iteration: Iteration | None = None  # the last one
        self.is_interrupted = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.bar.close()
        if self.iteration is not None and self.iteration.n_rejected:
            warn_user(
                "The last outer iterations were not finite and were undone; the fit keeps its best "
                "iterate. Lower distill_lr or outer_lr, or take fewer steps.",
                RuntimeWarning,
            )
        if kind is not KeyboardInterrupt:
            return False
        self.is_interrupted = True
        warn_user("Interrupted: the best iterate so far is kept.")
        return True

    def announce(self, plan: Any) -> None:
        """Show the plan of the fit."""
        if self.verbose:
            self.bar.write(str(plan))

    def __call__(self, iteration: Iteration, score: float | None, expected: int) -> None:
        """Report an iteration.

        Parameters
        ----------
        iteration : Iteration
            What happened.
        score : float or None
            The validation score, where it was just measured.
        expected : int
            Projected number of iterations of the whole fit; 0 where it is not known.
        """
        self.iteration = iteration
        if not self.verbose:
            return
        shown = {"loss": f"{iteration.loss:.3f}"}
        if score is not None:
            self.score = score
        if self.score is not None:
            shown["val"] = f"{self.score:.3f}"
        self.bar.total = expected or None
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        if self.verbose > 1 and score is not None:
            self.bar.write(
                f"iteration {iteration.done}: loss {iteration.loss:.4f}, "
                f"validation score {score:.4f}, gradient norm {iteration.gradient_norm:.3g}"
            )

    def report(self, reason: str, acceleration: Mapping[str, Any]) -> None:
        """Report why the fit ended and, with ``verbose=2``, how the students' steps were taken."""
        if self.verbose:
            self.bar.write(f"the fit ended: {reason}")
        if self.verbose > 1:
            self.bar.write(", ".join(f"{name}: {value}" for name, value in acceleration.items()))
