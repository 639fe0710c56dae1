"""The outer loop: sample, estimate, reduce, step, notify."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from .distilled_set import DistilledSet
from .hypergradient import Estimator, Hypergradient, Task
from .inner_loop import Learner
from .objectives import Objective
from .priors import Prior, draw
from .reducer import Alone, Reducer
from .seeds import Stream, generator

Sampler = Callable[[torch.Generator], tuple[Tensor, Tensor]]
"""A generator -> a real batch: x (n, *sample_shape) and y (n,)."""

State = Mapping[str, Tensor]
"""Name -> tensor, as a safetensors file holds them."""


@runtime_checkable
class Stateful(Protocol):
    """An estimator that carries something from one iteration to the next."""

    def state_dict(self) -> State:
        """What it carries."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        ...


def carried(estimator: Estimator) -> State:
    """What the estimator carries from one iteration to the next, if anything."""
    return estimator.state_dict() if isinstance(estimator, Stateful) else {}


def carry_on(estimator: Estimator, state: State) -> None:
    """Let the estimator go on from there, if it carries anything."""
    if isinstance(estimator, Stateful):
        estimator.load_state_dict(state)


class Iteration(NamedTuple):
    """What happened in one outer iteration."""

    done: int  # iterations so far, this one included
    loss: float
    gradient_norm: float
    undone: int  # iterations in a row, this one included, that were not finite and were undone


def cosine(share: float) -> float:
    """From 1 at 0 to 0 at 1 along half a cosine (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * share))


class OuterLoop:
    """Adam in the outer loop: improves ``distilled`` in place, and yields after each iteration.

    The step sizes η have a rate of their own: when they creep up as fast as the samples move, the
    inner loop diverges. An iteration that is not finite is undone: the distilled set goes back to
    where its gradient was last finite, and the rates are halved. After ``max_undone`` of them in a
    row the loop ends.

    Every draw depends on the seed and the iteration alone. A loop that loads the ``state_dict`` of
    another, made with the same arguments, goes on as that one does, on the CPU to the bit.

    Parameters
    ----------
    distilled : DistilledSet
        What is learned.
    estimator : Estimator
        How one differentiates through training.
    learner : Learner
        The network and how it learns.
    prior : callable
        Where nets start.
    sample : callable
        Draws real batches.
    objective : callable
        What trained nets should do on them.
    max_iter : float
        Most iterations; ``math.inf`` where ``progress`` alone ends the loop.
    lr, step_size_lr : float
        Rates of the samples and of η; both fall to 0 along a cosine.
    n_inits : int
        Nets of each iteration, those of all processes together.
    seed : int
        Decides all draws.
    max_norm : float
        Length that the gradient is cut to.
    max_undone : int
        Iterations in a row that may be undone.
    progress : callable or None
        Number of iterations done -> share that is spent of another budget, such as time. Whichever
        budget is spent further drives the cosine and, at 1, ends the loop.
    reducer : Reducer
        The processes that share the work.
    """

    def __init__(
        self,
        distilled: DistilledSet,
        estimator: Estimator,
        learner: Learner,
        prior: Prior,
        sample: Sampler,
        objective: Objective,
        *,
        max_iter: float,
        lr: float,
        step_size_lr: float,
        n_inits: int,
        seed: int,
        max_norm: float = 1.0,
        max_undone: int = 5,
        progress: Callable[[int], float] | None = None,
        reducer: Reducer | None = None,
    ) -> None:
        self.distilled, self.estimator, self.learner = distilled, estimator, learner
        self.prior, self.sample, self.objective = prior, sample, objective
        self.max_iter, self.n_inits, self.seed = max_iter, n_inits, seed
        self.max_norm, self.max_undone = max_norm, max_undone
        self.progress, self.reducer = progress, reducer or Alone()

        self.rates = [lr, step_size_lr]
        groups = [distilled.samples, [distilled.free_lrs]]
        # A β₁ of 0.5 is the paper's; fast forgetting suits the noise of fresh inits and batches.
        # With a β₂ of 0.999 one wild gradient would shorten the steps of a thousand iterations.
        self.optimizer = torch.optim.Adam([{"params": g} for g in groups], betas=(0.5, 0.98))
        self.sound = distilled.snapshot()
        self.done = self.undone = 0

    def __iter__(self) -> Iterator[Iteration]:
        # All start from where the main process does, and it alone need have read a checkpoint.
        self.load_state_dict(self.reducer.from_main(self.state_dict()))
        while self.undone < self.max_undone and (share := self._share()) < 1:
            yield self._step(cosine(share))

    def _share(self) -> float:
        """Of the run that is over."""
        share = self.done / self.max_iter
        if self.progress is None:
            return share
        # Each process has its own clock, but all must end together.
        return max(share, self.reducer.from_main(self.progress(self.done)))

    def _step(self, schedule: float) -> Iteration:
        """One iteration, at so much of the rates."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * schedule
        estimate = self._estimate()
        self.distilled.pull_back(estimate.x, estimate.y, estimate.lrs)
        length = torch.nn.utils.clip_grad_norm_(self.distilled.free, self.max_norm)
        # The one time that an iteration waits for the device.
        loss, norm = torch.stack([estimate.loss, length]).tolist()
        if math.isfinite(norm) and math.isfinite(loss):
            self.sound, self.undone = self.distilled.snapshot(), 0
            self.optimizer.step()
        else:
            self.distilled.restore(self.sound)
            self.rates, self.undone = [rate / 2 for rate in self.rates], self.undone + 1
        self.done += 1
        return Iteration(self.done, loss, norm, self.undone)

    def _estimate(self) -> Hypergradient:
        """The hypergradient, mean over the inits of all processes."""
        x, y, lrs = self.distilled.x, self.distilled.y, self.distilled.lrs
        mine = self.reducer.share(self.n_inits)
        task = Task(
            self.learner,
            # More processes than inits leave some without.
            draw(self.prior, mine, self.seed, Stream.INIT, self.done, device=x.device)
            if mine
            else {},
            x,
            y,
            lrs,
            self.objective,
            self.sample(generator(self.seed, Stream.BATCH, self.done)),
            generator(self.seed, Stream.WINDOW, self.done),
        )
        estimate = self.estimator(task) if mine else task.no_gradient()
        return Hypergradient(*self.reducer.mean(estimate, len(mine) / self.n_inits))

    def state_dict(self) -> dict[str, Tensor]:
        """All that passes from one iteration to the next, copied to the CPU."""
        state = {
            "done": torch.tensor(self.done),
            "undone": torch.tensor(self.undone),
            "rates": torch.tensor(self.rates, dtype=torch.float64),
        }
        for k, p in enumerate(self.distilled.free):
            # Adam has no moments before its first step.
            parts = {"free": p, "sound": self.sound[k], **self.optimizer.state[p]}
            state |= {f"{name}.{k}": t for name, t in parts.items()}
        state |= {f"estimator.{name}": t for name, t in carried(self.estimator).items()}
        return {name: t.detach().to("cpu", copy=True) for name, t in state.items()}

    def load_state_dict(self, state: State) -> None:
        """Go on from where another loop stood."""
        free = self.distilled.free
        wanted = {f"free.{k}": tuple(p.shape) for k, p in enumerate(free)}
        found = {name: tuple(t.shape) for name, t in state.items() if name.startswith("free.")}
        if found != wanted:
            raise ValueError(
                f"state belongs to a distilled set of shapes {found}, but this loop's has {wanted}."
                " Go on with the data and the parameters that the run began with."
            )
        moments = ("step", "exp_avg", "exp_avg_sq") if "step.0" in state else ()
        indices = range(len(free))
        adam = {k: {name: state[f"{name}.{k}"].clone() for name in moments} for k in indices}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": adam})
        self.distilled.restore([state[f"free.{k}"] for k in indices])
        self.sound = [state[f"sound.{k}"].clone() for k in indices]
        self.done, self.undone = int(state["done"]), int(state["undone"])
        self.rates = state["rates"].tolist()
        own = "estimator."
        theirs = {k.removeprefix(own): t.clone() for k, t in state.items() if k.startswith(own)}
        carry_on(self.estimator, theirs)
