"""Memory that tensors free is kept while a fit runs, and given back after it."""

import os
import threading

import pytest
import torch

from sklearn_dd import memory
from sklearn_dd.memory import kept_memory

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(memory._glibc() is None, reason="no glibc that takes thresholds")

PAGES = (40 << 20) // 4096


def new_pages(n_tensors=20):
    """Pages that the system had to clear for tensors of 40 MiB, each used and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_tensors):
        torch.empty(40 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_freed_memory_is_used_again():
    with kept_memory():
        assert new_pages() < 10 * PAGES  # the first few may each find a place of their own


def test_it_is_given_back_at_the_end():
    with kept_memory():
        pass  # what others left is given back
    before = resident()
    with kept_memory():
        new_pages(1)
        assert resident() > before + (30 << 20)
    assert resident() < before + (10 << 20)


def test_an_error_ends_it():
    with pytest.raises(ZeroDivisionError), kept_memory():
        raise ZeroDivisionError
    assert memory._users == 0


def test_the_last_one_out_gives_back():
    inside, leave = threading.Event(), threading.Event()

    def fit():
        with kept_memory():
            inside.set()
            leave.wait()

    other = threading.Thread(target=fit)
    other.start()
    inside.wait()
    with kept_memory():
        pass
    try:
        assert new_pages() < 10 * PAGES
    finally:
        leave.set()
        other.join()
    assert memory._users == 0


def test_the_environment_has_the_last_word(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert memory._glibc() is None


def test_a_forked_child_begins_anew():
    with kept_memory():
        child = os.fork()
        if not child:
            os._exit(memory._users)
    assert os.waitpid(child, 0)[1] == 0
