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

from sklearn_dd._engine import join
from sklearn_dd._engine.reducer import Alone, Group

from .loops import random_loop, same

needs_processes = pytest.mark.skipif(
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
            process.join(60)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()


def meet(rank, file, seconds=30):
    """Initialise a gloo group of two that meets at ``file``, as a user's script does; join it."""
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
        loop = random_loop(n_inits=n, reducer=reducer)
        if not main:
            loop.distilled.free_x.detach().zero_()
        list(loop)
        write(loop, f"{n}-inits")

    begun, resumed = (random_loop(n_inits=4, reducer=reducer) for _ in range(2))
    next(iter(begun))
    if main:
        resumed.load_state_dict(begun.state_dict())
    list(resumed)
    write(resumed, "resumed")

    timed = random_loop(progress=lambda done: done / 3 if main else 1, reducer=reducer)
    list(timed)
    write(timed, "timed")

    not_finite = random_loop([] if main else [2], reducer=reducer)
    list(not_finite)
    write(not_finite, "not-finite")
    note(rank, folder, [type(reducer).__name__, main, *map(list, map(reducer.share, N_INITS))])
    dist.destroy_process_group()
    assert isinstance(join(), Alone)


def note(rank, folder, content):
    (folder / f"note-{rank}").write_text(json.dumps(content))


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


@needs_processes
def test_a_process_joins_the_group_that_the_user_has_initialised(written):
    first, second = (json.loads((written / f"note-{rank}").read_text()) for rank in (0, 1))
    assert first == ["Group", True, [0, 2], [0, 2], [0]]
    assert second == ["Group", False, [1, 3], [1], []]


@needs_processes
@pytest.mark.parametrize("n_inits", N_INITS)
def test_two_processes_are_as_good_as_one(written, n_inits):
    """Shared out evenly, unevenly, and with one process idle."""
    one = random_loop(n_inits=n_inits)
    list(one)
    expected, found = one.state_dict(), read(written, f"{n_inits}-inits")
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12)


@needs_processes
def test_it_is_enough_that_the_main_process_reads_a_checkpoint(written):
    assert same(read(written, "resumed"), read(written, "4-inits"))


@needs_processes
def test_the_main_process_has_the_clock(written):
    assert int(read(written, "timed")["done"]) == 3


@needs_processes
def test_what_is_not_finite_on_one_process_is_undone_on_all(written):
    assert read(written, "not-finite")["rates"].tolist() == [0.025, 0.005]


def raises():
    raise ValueError("This process fails.")


def hangs():
    time.sleep(2 * HUNG)


def fail(rank, folder):
    """The second process fails in the way that the folder names; the first notes what it sees."""
    meet(rank, folder / "meeting")
    list(random_loop(n_inits=4, reducer=join()))  # so that both have all loaded
    dist.destroy_process_group()
    loop = random_loop(n_inits=4, reducer=meet(rank, folder / "second-meeting", HUNG))
    try:
        for iteration in loop:
            last = time.monotonic()
            if rank == 1 and iteration.done == 3:
                {"raises": raises, "hangs": hangs}[folder.name]()
    except RuntimeError as error:
        waited = time.monotonic() - last
        note(rank, folder, {"done": loop.done, "error": str(error), "waited": waited})
        raise


@needs_processes
@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_a_process_that_fails_ends_the_other(tmp_path, how):
    folder = tmp_path / how
    folder.mkdir()
    assert two_processes(fail, folder) == [1, 1]
    seen = json.loads((folder / "note-0").read_text())
    assert seen["done"] == 3
    assert "Another process of the group has failed" in seen["error"]
    assert seen["waited"] < 2 * HUNG


def test_without_a_group_a_process_is_alone():
    reducer = join()
    assert isinstance(reducer, Alone)
    assert reducer.is_main()
    assert list(reducer.share(3)) == [0, 1, 2]
    assert reducer.from_main("start") == "start"
    parts = [torch.ones(2), torch.zeros(())]
    assert reducer.mean(parts, 1.0) is parts


def test_joining_initialises_no_group(monkeypatch):
    """Not even under the variables that torchrun sets."""
    torchrun = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29511"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    assert isinstance(join(), Alone)
    assert not dist.is_initialized()


@needs_processes
def test_a_group_of_one_is_joined_and_gives_the_same_to_the_bit(tmp_path):
    alone = random_loop()
    list(alone)
    dist.init_process_group("gloo", f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        reducer = join()
        assert isinstance(reducer, Group)
        grouped = random_loop(reducer=reducer)
        list(grouped)
    finally:
        dist.destroy_process_group()
    assert same(grouped.state_dict(), alone.state_dict())
    assert isinstance(join(), Alone)
