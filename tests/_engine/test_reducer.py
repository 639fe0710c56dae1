"""Two processes do as one; one that fails ends the other."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from sklearn_dd.engine.reducer import Alone, join

from .test_outer_loop import random_run, same

pytestmark = pytest.mark.skipif(
    not dist.is_available() or sys.platform == "win32", reason="needs gloo and a fork server"
)

N_INITS = [4, 3, 1]
HUNG = 3  # seconds after which a process that does not answer counts as failed


def two_processes(work, folder):
    """The exit codes of two processes that do ``work(rank, folder)``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sklearn_dd"])  # imported once, not by each process
    processes = [context.Process(target=work, args=(rank, folder)) for rank in (0, 1)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()


def meet(rank, file, seconds=30):
    """Join a gloo group of two that meets at ``file``."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{file}", timeout=timedelta(seconds=seconds), rank=rank, world_size=2
    )
    return join()


def agree(rank, folder):
    """Run with each number of inits; start, clock and checkpoint are the main process's."""
    reducer = meet(rank, folder / "meeting")
    main = reducer.is_main()

    def write(loop, name):
        save_file(loop.state_dict(), folder / f"{name}-{rank}")

    for n in N_INITS:
        loop = random_run(n_inits=n, reducer=reducer)
        if not main:
            loop.distilled.free_x.detach().zero_()
        list(loop)
        write(loop, f"{n}-inits")

    begun, resumed = (random_run(n_inits=4, reducer=reducer) for _ in range(2))
    next(iter(begun))
    if main:
        resumed.load_state_dict(begun.state_dict())
    list(resumed)
    write(resumed, "resumed")

    timed = random_run(progress=lambda i: i / 3 if main else 1, reducer=reducer)
    list(timed)
    write(timed, "timed")

    sick = random_run([] if main else [2], reducer=reducer)
    list(sick)
    write(sick, "sick")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    assert two_processes(agree, folder) == [0, 0]
    return folder


def read(folder, name):
    """A state that both processes have alike."""
    first, second = (load_file(folder / f"{name}-{rank}") for rank in (0, 1))
    assert same(first, second)
    return first


@pytest.mark.parametrize("n_inits", N_INITS)
def test_two_processes_are_as_good_as_one(written, n_inits):
    """Shared out evenly, unevenly, and with one process idle."""
    one = random_run(n_inits=n_inits)
    list(one)
    expected, found = one.state_dict(), read(written, f"{n_inits}-inits")
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12)


def test_it_is_enough_that_the_main_process_reads_a_checkpoint(written):
    assert same(read(written, "resumed"), read(written, "4-inits"))


def test_the_main_process_has_the_clock(written):
    assert int(read(written, "timed")["done"]) == 3


def test_what_is_not_finite_on_one_process_is_undone_on_all(written):
    state = read(written, "sick")
    assert state["rates"].tolist() == [0.025, 0.005]


def raises():
    raise ValueError("This process fails.")


def hangs():
    time.sleep(2 * HUNG)


def fail(rank, folder):
    """The second process fails in the way that the folder names; the first notes what it sees."""
    meet(rank, folder / "meeting")
    list(random_run(n_inits=4, reducer=join()))  # so that both have all loaded
    dist.destroy_process_group()
    loop = random_run(n_inits=4, reducer=meet(rank, folder / "second-meeting", HUNG))
    try:
        for iteration in loop:
            last = time.monotonic()
            if rank == 1 and iteration.done == 3:
                {"raises": raises, "hangs": hangs}[folder.name]()
    except RuntimeError as error:
        note = {"done": loop.done, "error": str(error), "waited": time.monotonic() - last}
        (folder / f"note-{rank}").write_text(json.dumps(note))
        raise


@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_a_process_that_fails_ends_the_other(tmp_path, how):
    folder = tmp_path / how
    folder.mkdir()
    assert two_processes(fail, folder) == [1, 1]
    note = json.loads((folder / "note-0").read_text())
    assert note["done"] == 3
    assert "Another process of the group has failed" in note["error"]
    assert note["waited"] < 2 * HUNG


def test_without_a_group_a_process_is_alone():
    reducer = join()
    assert isinstance(reducer, Alone)
    assert reducer.is_main()
    assert list(reducer.share(3)) == [0, 1, 2]
    assert reducer.from_main("start") == "start"
