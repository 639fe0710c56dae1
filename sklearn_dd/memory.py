"""Freed memory is kept while a computation runs, not given back between its steps."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_KEPT = 1 << 30  # bytes

_lock = threading.Lock()
_users = 0


def _begin() -> None:
    """In a child that was forked, no fit is running and nobody holds the lock."""
    global _lock, _users
    _lock, _users = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep blocks of up to 1 GiB that tensors on the CPU free, for the tensors that follow.

    glibc gives a block of some MB back to the system as soon as it is freed. A tensor of the next
    step then meets new pages, which the system has to clear first: for a small network's gradients
    that can take longer than the arithmetic. At the end all that was kept is given back. Where
    there is no glibc, or the environment already says how it allocates, nothing changes, nor does
    it in other threads than the main one, whose memory glibc keeps elsewhere.
    """
    global _users
    with _lock:
        _users += 1
        if _LIBC and _users == 1:
            _set_thresholds(_LIBC, _KEPT, _KEPT)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _LIBC and _users == 0:
                # Where glibc arrives by itself once a program has freed a block of 32 MiB.
                _set_thresholds(_LIBC, 32 << 20, 64 << 20)
                _LIBC.malloc_trim(0)


def _glibc() -> Any:
    """The C library, or None where it is another or has been told how to allocate."""
    told = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    there = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})
    return None if told or not there else ctypes.CDLL(None)


def _set_thresholds(libc: Any, mmap: int, trim: int) -> None:
    # An older glibc refuses more than 32 MiB, and would then stay with 128 KiB.
    if not libc.mallopt(_MMAP_THRESHOLD, mmap):
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(_TRIM_THRESHOLD, trim)


_LIBC = _glibc()  # it reads the environment once, as the process begins
