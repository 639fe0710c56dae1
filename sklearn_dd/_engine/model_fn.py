"""Students without gradient steps, and several students as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .carry import Params
from .counterparts import Counterpart
from .seeds import generator
from .student_fn import StudentFn, unstacked

_SEED = "seed"


@dataclass(frozen=True)
class ModelFn:
    """A model as the engine sees it. To train it is to store what it learns from.

    Before training, its parameters are the seed of what it draws. After it, they are the samples
    and their labels too.

    Parameters
    ----------
    counterpart : Counterpart
        What the model says of new samples, as a function of those that it learned from.
    takes_shares : bool, default=True
        Whether the model can learn that a sample belongs to several classes in part. Another one
        learns the likeliest class.
    """

    counterpart: Counterpart
    takes_shares: bool = True

    @property
    def share(self) -> float:
        """Of the iterations, those that the model takes part in beside other students."""
        return self.counterpart.share

    def groups(self, params: Params) -> list[Params]:
        """The parameters of each model that differs from the others."""
        each = unstacked(params)
        return each if self.counterpart.is_random else each[:1]

    def learn(self, params: Params, x: Tensor, y: Tensor) -> Params:
        """The parameters after training on all mini-batches, with a graph to x and y."""
        x, y = x.flatten(0, 1).flatten(1), y.flatten(0, 1)
        if not self.takes_shares:
            y = one_hot(y.argmax(1), y.shape[1]).to(y)
        return {**params, "x": x, "y": y}

    def apply(self, params: Params, x: Tensor) -> Tensor:
        """Outputs (n, n_outputs) in the model's own units."""
        g = generator(int(params[_SEED]))
        return self.counterpart(params["x"], params["y"], x.flatten(1), g)


def model_prior(g: torch.Generator) -> Params:
    """Where a model starts: from the seed of what it draws."""
    return {_SEED: torch.randint(2**31, (), generator=g)}


@dataclass(frozen=True)
class Several:
    """Several students that learn from one set.

    The parameters of all of them are held together. Those of student k have names that begin with
    its number.

    Parameters
    ----------
    members : sequence of StudentFn or ModelFn
        The students.
    weights : sequence of float or None, default=None
        How much the loss of each counts in their mean. ``None`` lets all count alike.
    """

    members: Sequence[StudentFn | ModelFn]
    weights: Sequence[float] | None = None

    def weighted(self, values: Sequence[Tensor]) -> list[Tensor]:
        """What each student has, times its weight."""
        weights = self.weights or [1.0] * len(self.members)
        return [w * value for w, value in zip(weights, values, strict=True)]

    def split(self, params: Params) -> Iterator[tuple[StudentFn | ModelFn, Params]]:
        """Each student and its own parameters."""
        for k, member in enumerate(self.members):
            prefix = f"{k}."
            own = {n.removeprefix(prefix): p for n, p in params.items() if n.startswith(prefix)}
            yield member, own


AnyStudent = StudentFn | ModelFn | Several


def members(student: AnyStudent) -> list[StudentFn | ModelFn]:
    """The single students."""
    return [*student.members] if isinstance(student, Several) else [student]


def has_models(student: AnyStudent) -> bool:
    """Whether a single student is a model."""
    return any(isinstance(each, ModelFn) for each in members(student))


def each_student(
    student: AnyStudent, params: Params
) -> Iterator[tuple[StudentFn | ModelFn, Params]]:
    """Each single student and its parameters."""
    yield from student.split(params) if isinstance(student, Several) else [(student, params)]
