"""The outer loop: sample, differentiate, reduce, step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .distilled_set import DistilledSet
from .hypergradients.problem import Hypergradient, Method, OuterProblem, State, as_method
from .losses import Objective
from .model_fn import AnyStudent
from .priors import Prior, draw
from .reducer import Alone, Reducer
from .seeds import Stream, generator

_RAISE = 1.2  # of rates that were lowered
_LOWER = 0.8  # of the rates that they may rise to again, after these have led astray

Sampler = Callable[[torch.Generator], tuple[Tensor, Tensor]]
"""A generator -> a real batch: x (n, *sample_shape) and y (n,) or (n, n_outputs)."""


class Iteration(NamedTuple):
    """What happened in one outer iteration."""

    done: int  # iterations so far, this one included
    loss: float
    gradient_norm: float
    n_rejected: int  # consecutive iterations, up to this one, that were not finite and were undone


def cosine(progress: float) -> float:
    """Half a cosine, from 1 at 0 to 0 at 1 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


class OuterLoop:
    """Adam in the outer loop: improves ``distilled`` in place and yields after each iteration.

    The step sizes η have a learning rate of their own: if they grow as fast as the samples move,
    the inner loop diverges. An iteration that is not finite is undone: the distilled set returns to
    where its gradient was last finite, and the learning rates are halved. After ``max_rejected``
    such iterations in a row the loop ends.

    Every draw depends on the seed and the iteration alone. A loop that loads the ``state_dict`` of
    another, made with the same arguments, continues as that one would, on a CPU to the bit.

    Parameters
    ----------
    distilled : DistilledSet
        What is learned.
    method : Method
        What computes the hypergradient.
    student : StudentFn, ModelFn or Several
        What learns from the distilled set.
    prior : callable
        Where students start.
    sample : callable
        Draws real batches.
    objective : callable
        What trained students should do on them.
    max_iter : float
        Largest number of iterations; ``math.inf`` where ``progress`` alone ends the loop.
    lr, step_size_lr : float
        Learning rates of the samples and of η; both fall to 0 along a cosine.
    n_inits : int
        Students of each iteration, over all processes.
    seed : int
        Decides all draws.
    max_norm : float
        Norm that the gradient is clipped to.
    max_rejected : int
        Consecutive iterations that may be undone before the loop ends.
    progress : callable or None
        Number of iterations done -> fraction used of another budget, such as time. The budget that
        is used further drives the cosine and, at 1, ends the loop.
    reducer : Reducer
        The processes that share the work.
    varies : Tensor or None
        Which values of a sample are learned, broadcast against it; None learns all.
    """

    def __init__(
        self,
        distilled: DistilledSet,
        method: Method,
        student: AnyStudent,
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
        max_rejected: int = 5,
        progress: Callable[[int], float] | None = None,
        reducer: Reducer | None = None,
        varies: Tensor | None = None,
    ) -> None:
        self.varies = varies
        self.distilled, self.method, self.student = distilled, as_method(method), student
        self.prior, self.sample, self.objective = prior, sample, objective
        self.max_iter, self.n_inits, self.seed = max_iter, n_inits, seed
        self.max_norm, self.max_rejected = max_norm, max_rejected
        self.progress, self.reducer = progress, reducer or Alone()

        self.first_rates = lr, step_size_lr
        self.learning_rates, self.highest = [*self.first_rates], [*self.first_rates]
        groups = [distilled.samples, [distilled.free_lrs]]
        # β₁ = 0.5 is the paper's: gradients of fresh students and batches are noisy. With
        # β₂ = 0.999 one very large gradient would shorten the steps of a thousand iterations.
        self.optimizer = torch.optim.Adam([{"params": g} for g in groups], betas=(0.5, 0.98))
        self.last_finite = distilled.snapshot()
        self.done = self.n_rejected = 0

    def __iter__(self) -> Iterator[Iteration]:
        self.reducer.synchronise(self)
        while self.n_rejected < self.max_rejected and (used := self._budget_used()) < 1:
            yield self._iterate(lr_scale=cosine(used))

    def _budget_used(self) -> float:
        """Fraction of the budget that is used."""
        used = self.done / self.max_iter
        if self.progress is None:
            return used
        # Each process has its own clock, but all must end together.
        return max(used, self.reducer.from_main(self.progress(self.done)))

    def _iterate(self, lr_scale: float) -> Iteration:
        """One outer iteration; ``lr_scale`` multiplies both learning rates."""
        for group, lr in zip(self.optimizer.param_groups, self.learning_rates, strict=True):
            group["lr"] = lr * lr_scale
        hypergradient = self._hypergradient()
        dx = hypergradient.x if self.varies is None else hypergradient.x * self.varies
        self.distilled.pull_back(dx, hypergradient.y, hypergradient.lrs)
        norm = torch.nn.utils.clip_grad_norm_(self.distilled.free, self.max_norm)
        # The only place where an iteration waits for the device.
        loss, gradient_norm = torch.stack([hypergradient.loss, norm]).tolist()
        if math.isfinite(gradient_norm) and math.isfinite(loss):
            self.last_finite, self.n_rejected = self.distilled.snapshot(), 0
            self.optimizer.step()
        else:
            self.distilled.restore(self.last_finite)
            self.learning_rates = [lr / 2 for lr in self.learning_rates]
            self.n_rejected += 1
        self.done += 1
        return Iteration(self.done, loss, gradient_norm, self.n_rejected)

    def _hypergradient(self) -> Hypergradient:
        """The hypergradient, mean over the initialisations of all processes."""
        x, y, lrs = self.distilled.x, self.distilled.y, self.distilled.lrs
        mine = self.reducer.share(self.n_inits)
        problem = OuterProblem(
            self.student,  # type: ignore[arg-type]  # its method knows which kind it is
            # With more processes than initialisations, some processes have none.
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
        own = self.method(problem) if mine else problem.zeros()
        return Hypergradient(*self.reducer.mean(own, len(mine) / self.n_inits))

    def retreat(self, snapshot: list[Tensor]) -> None:
        """Return to an earlier distilled set, and halve the learning rates.

        They may rise again, but not quite to where they were.
        """
        self.distilled.restore(snapshot)
        self.last_finite = self.distilled.snapshot()
        self.learning_rates = [lr / 2 for lr in self.learning_rates]
        self.highest = [_LOWER * lr for lr in self.highest]

    def restart(self, snapshot: list[Tensor]) -> None:
        """Go on from another distilled set, at the first learning rates."""
        self.distilled.restore(snapshot)
        self.last_finite = self.distilled.snapshot()
        self.learning_rates, self.highest = [*self.first_rates], [*self.first_rates]

    def advance(self) -> None:
        """Raise learning rates that were lowered, up to the highest that are allowed."""
        self.learning_rates = [
            min(_RAISE * lr, most)
            for lr, most in zip(self.learning_rates, self.highest, strict=True)
        ]

    def calm(self) -> None:
        """Shorten the step sizes by a quarter, and halve their learning rate."""
        self.distilled.scale_step_sizes(0.75)
        self.last_finite = self.distilled.snapshot()
        self.learning_rates[1] /= 2

    def state_dict(self) -> dict[str, Tensor]:
        """The state between two iterations, copied to the CPU; its names are those of the file."""
        state = {
            "done": torch.tensor(self.done),
            "undone": torch.tensor(self.n_rejected),
            "rates": torch.tensor(self.learning_rates, dtype=torch.float64),
            "highest": torch.tensor(self.highest, dtype=torch.float64),
        }
        for k, p in enumerate(self.distilled.free):
            # Adam has no moments before its first step.
            parts = {"free": p, "sound": self.last_finite[k], **self.optimizer.state[p]}
            state |= {f"{name}.{k}": t for name, t in parts.items()}
        state |= {f"estimator.{name}": t for name, t in self.method.state_dict().items()}
        return {name: t.detach().to("cpu", copy=True) for name, t in state.items()}

    def load_state_dict(self, state: State) -> None:
        """Continue from the state of another loop."""
        free = self.distilled.free
        wanted = {f"free.{k}": tuple(p.shape) for k, p in enumerate(free)}
        found = {name: tuple(t.shape) for name, t in state.items() if name.startswith("free.")}
        if found != wanted:
            raise ValueError(
                f"state belongs to a distilled set of shapes {found}, but this loop's has {wanted}."
                " Continue with the data and the parameters that the run began with."
            )
        moments = ("step", "exp_avg", "exp_avg_sq") if "step.0" in state else ()
        indices = range(len(free))
        adam = {k: {name: state[f"{name}.{k}"].clone() for name in moments} for k in indices}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": adam})
        self.distilled.restore([state[f"free.{k}"] for k in indices])
        self.last_finite = [state[f"sound.{k}"].clone() for k in indices]
        self.done, self.n_rejected = int(state["done"]), int(state["undone"])
        self.learning_rates, self.highest = state["rates"].tolist(), state["highest"].tolist()
        prefix = "estimator."
        self.method.load_state_dict(
            {k.removeprefix(prefix): t.clone() for k, t in state.items() if k.startswith(prefix)}
        )
