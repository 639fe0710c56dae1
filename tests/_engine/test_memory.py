"""The peak of the bytes that tensors take, of computations whose peak is known."""

from __future__ import annotations

import gc

import pytest
import torch

from sklearn_dd._engine import peak_bytes

CPU = torch.device("cpu")


def peak(work):
    return peak_bytes(work, CPU)


@pytest.fixture
def x():
    """4,000 bytes that were there before."""
    return torch.zeros(1000)


def chain(x, n):
    """Each tensor is dropped when the next is there."""
    a = x + 1
    for _ in range(n):
        a = a * 2
    return a


KNOWN = {
    "nothing": (lambda x: None, 0),
    "one tensor": (lambda x: torch.ones(1000), 4000),
    "float64": (lambda x: torch.ones(1000, dtype=torch.float64), 8000),
    "uint8": (lambda x: torch.ones(1000, dtype=torch.uint8), 1000),
    "the argument is not counted": (lambda x: x + 1, 4000),
    "both are kept": (lambda x: [x + 1, x + 2], 8000),
    "intermediate": (lambda x: (x + 1) + 1, 8000),
    "dropped in turn": (lambda x: chain(x, 20), 8000),
    "dropped at once": (lambda x: [(x + k).sum().item() for k in range(5)], 4004),
    "a view of its own": (lambda x: (x + 1).view(10, 100).T[:3], 4000),
    "in place of its own": (lambda x: (x + 1).mul_(2).add_(1), 4000),
    "an expanded number": (lambda x: torch.ones(()).expand(1000), 4),
}


@pytest.mark.parametrize("case", KNOWN)
def test_the_peak_of_a_known_computation(case, x):
    work, expected = KNOWN[case]
    assert peak(lambda: work(x)) == expected


def test_what_was_there_before_is_not_counted_when_it_is_looked_at(x):
    assert peak(lambda: x.view(10, 100).T) == 0


def test_what_was_there_before_is_not_counted_when_it_is_changed_in_place(x):
    assert peak(lambda: x.add_(1)) == 0


def test_a_backward_pass_is_counted():
    """w, exp w and exp exp w with the gradient of one; the sum and its gradient are 4 bytes."""

    def work():
        w = torch.ones(1000, requires_grad=True)
        return torch.autograd.grad(w.exp().exp().sum(), w)

    assert peak(work) == 4 * 4000 + 2 * 4


def test_an_unrolled_loop_holds_all_of_its_steps():
    def work(n_steps):
        w = torch.ones(1000, requires_grad=True)
        for _ in range(n_steps):
            w = w.exp()  # saved for its gradient
        return w

    assert peak(lambda: work(5)) == 6 * 4000
    assert peak(lambda: work(50)) == 51 * 4000


def test_the_peak_counts_and_not_the_end(x):
    def work():
        large = [x + k for k in range(10)]
        del large
        return x + 1

    assert peak(work) == 40_000


def test_a_count_starts_afresh_and_sees_nothing_after_its_end(x):
    first = peak(lambda: x + 1)
    kept = [x + k for k in range(10)]
    assert peak(lambda: x + 1) == first
    del kept
    gc.collect()
    assert peak(lambda: x + 1) == first


def test_the_work_is_done_once_and_an_error_of_it_is_passed_on():
    calls = []
    peak(lambda: calls.append(1))
    assert calls == [1]
    with pytest.raises(ZeroDivisionError):
        peak(lambda: 1 / 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_counts_its_own_bytes():
    x = torch.zeros(1 << 20, device="cuda")
    found = peak_bytes(lambda: (x + 1) + 1, x.device)
    assert found == 2 * x.nbytes
