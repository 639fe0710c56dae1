"""Who works on an outer iteration: one process alone, or a group of them.

The inits of an iteration are shared out, each process differentiates through its own, and the means
are taken together. All processes hold the same distilled set, draw the same real batch and take the
same step, so that the result is one process's up to the order of sums. Where there are fewer inits
than processes, the others wait: one init is one chain of steps, with nothing in it to share out.

A process of the group that ends early ends the others with an error: gloo notices at once, and
``torchrun`` stops all when one fails. One that is alive but does not answer does so once the
group's timeout is over: torch's own, 30 minutes for gloo and 10 for nccl, unless whoever made the
group chose another in ``torch.distributed.init_process_group(timeout=...)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


class Reducer(Protocol):
    """How several processes act as one. What one of them calls, all must call."""

    def is_main(self) -> bool:
        """Whether this process is the one to print and to write."""
        ...

    def share(self, n_inits: int) -> Sequence[int]:
        """Which of ``n_inits`` this process trains; none, perhaps."""
        ...

    def mean(self, parts: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
        """Mean of what each process gives; the ``weight`` of all of them add up to 1."""
        ...

    def from_main(self, value: Value) -> Value:
        """What the main process gives, where it and the others may differ: a clock, a start."""
        ...


class Alone:
    """One process."""

    def is_main(self) -> bool:
        """True."""
        return True

    def share(self, n_inits: int) -> Sequence[int]:
        """All of them."""
        return range(n_inits)

    def mean(self, parts: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
        """The parts themselves."""
        return parts

    def from_main(self, value: Value) -> Value:
        """The value itself."""
        return value


class Group:
    """The processes of torch's default group; the first is the main one."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def is_main(self) -> bool:
        """Whether this process is the first."""
        return self.rank == 0

    def share(self, n_inits: int) -> Sequence[int]:
        """Every ``size``-th."""
        return range(self.rank, n_inits, self.size)

    def mean(self, parts: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
        """Weighted sum over processes, the same to the bit on each."""
        # In one message: what is sent is small, and each message waits for the slowest process.
        flat = torch.cat([part.flatten() for part in parts]).mul_(weight)
        with _together():
            dist.all_reduce(flat)
        sums = flat.split([part.numel() for part in parts])
        return [s.view_as(p).to(p.dtype) for s, p in zip(sums, parts, strict=True)]

    def from_main(self, value: Value) -> Value:
        """Any value that can be pickled; tensors on the CPU."""
        box: list[Any] = [value if self.is_main() else None]
        with _together():
            dist.broadcast_object_list(box)
        return box[0]


def join() -> Reducer:
    """The group that this process is in, or that ``torchrun`` started it for; else it is alone."""
    if not dist.is_available():
        return Alone()
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched():
            return Alone()
        dist.init_process_group()  # gloo for tensors on the CPU, nccl for those on CUDA
    return Group()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a lost connection or a timeout, named differently by backends
        raise RuntimeError(
            "Another process of the group has failed, or did not answer within the group's "
            "timeout, so this one ends too. Its output says why; start all of them again, from "
            "the last checkpoint if there is one."
        ) from error
