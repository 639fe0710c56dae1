"""The memory that tensors take while a piece of work runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchDispatchMode):
    """Count the bytes of the storages that operations allocate and that still live."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.held = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):  # what was there before does not count
                self._add(tensor.untyped_storage(), size=0)
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._add(storage, storage.nbytes())
        return found

    def _add(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = size
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.held -= self.sizes.pop(key, 0)


def peak_bytes(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that the tensors made by ``work`` take at a time."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with _Watch() as watch:
        work()
    return watch.peak
