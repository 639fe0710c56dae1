"""One process, or a group of processes that share the initialisations of an outer iteration.

Each process differentiates through its own initialisations, and the gradients are averaged over
processes. All processes hold the same distilled set, draw the same real batch and take the same
step, so that the result equals that of one process up to the order of sums. Where there are fewer
initialisations than processes, the others wait: a single training cannot be split.

If a process of the group fails, the others end with an error: gloo notices at once, and
``torchrun`` stops all processes when one fails. If a process is alive but does not answer, the
others end after the group's timeout: 30 minutes for gloo and 10 for nccl by default, see
``torch.distributed.init_process_group(timeout=...)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


class Stateful(Protocol):
    """An object whose state can be saved and restored."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """The state."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> None:
        """Continue from a state."""
        ...


class Reducer(Protocol):
    """How several processes act as one. A method that one process calls, all must call."""

    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        ...

    def share(self, n_inits: int) -> Sequence[int]:
        """The indices of the initialisations that this process trains; possibly none."""
        ...

    def mean(self, parts: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
        """The mean of each part over processes, whose weights add up to 1."""
        ...

    def from_main(self, value: Value) -> Value:
        """The main process's value, where processes may differ, as their clocks do."""
        ...

    def synchronise(self, stateful: Stateful) -> None:
        """Give ``stateful`` the state that it has in the main process."""
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

    def synchronise(self, stateful: Stateful) -> None:
        """Do nothing."""


class Group:
    """The processes of torch's default group; the first is the main one."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def is_main(self) -> bool:
        """Whether this process is the first."""
        return self.rank == 0

    def share(self, n_inits: int) -> Sequence[int]:
        """Every ``size``-th index."""
        return range(self.rank, n_inits, self.size)

    def mean(self, parts: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
        """Weighted sum over processes, the same to the bit on each."""
        # In one message: the tensors are small, and each message waits for the slowest process.
        flat = torch.cat([part.flatten() for part in parts]).mul_(weight)
        with _named_failure():
            dist.all_reduce(flat)
        sums = flat.split([part.numel() for part in parts])
        return [s.view_as(p).to(p.dtype) for s, p in zip(sums, parts, strict=True)]

    def from_main(self, value: Value) -> Value:
        """Any value that can be pickled; tensors on the CPU."""
        box: list[Any] = [value if self.is_main() else None]
        with _named_failure():
            dist.broadcast_object_list(box)
        return box[0]

    def synchronise(self, stateful: Stateful) -> None:
        """Broadcast the main process's state; it alone need have read a checkpoint."""
        stateful.load_state_dict(self.from_main(stateful.state_dict()))


def join() -> Reducer:
    """The process group that the caller has initialised, else this process alone."""
    return Group() if dist.is_available() and dist.is_initialized() else Alone()


@contextmanager
def _named_failure() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a lost connection or a timeout, named differently by backends
        raise RuntimeError(
            "Another process of the group has failed, or did not answer within the group's "
            "timeout, so this one ends too. Its output says why; start all of them again, from "
            "the last checkpoint if there is one."
        ) from error
