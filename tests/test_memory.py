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


def new_pages():
    """Pages that the system had to clear for one tensor of 40 MiB, used and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(40 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_freed_memory_is_used_again():
    with kept_memory():
        new_pages()
        assert new_pages() < PAGES / 100


def test_it_is_given_back_at_the_end():
    before = resident()
    with kept_memory():
        new_pages()
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
        new_pages()
    assert new_pages() < PAGES / 100
    leave.set()
    other.join()
    assert memory._users == 0


def test_the_environment_has_the_last_word(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert memory._glibc() is None
    with kept_memory():
        pass
