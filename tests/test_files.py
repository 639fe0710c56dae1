"""Any file of the package: written whole or not at all, and refused if damaged."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sklearn_dd import (
    _files,
    load_distilled,
    save_distilled,
)

from .helpers import (
    file_metadata,
    named,
    tiny,
)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file(whole, path, share):
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        ValueError, match=r"distilled.safetensors.*not a whole file.*save_distilled"
    ):
        load_distilled(path)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_random_bytes(path, seed):
    path.write_bytes(np.random.default_rng(seed).bytes(2000))
    with pytest.raises(ValueError, match=r"distilled.safetensors.*not a whole file"):
        load_distilled(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}], ids=named)
def test_a_file_of_other_tensors(path, metadata):
    save_file({"weight": np.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=r"holds tensors, but not distilled data.*save_distilled"):
        load_distilled(path)


def test_a_file_of_a_later_version(whole, path):
    save_file(load_file(path), path, file_metadata(path) | {"version": "99"})
    with pytest.raises(ValueError, match=r"has version 99 of the format.*install a newer"):
        load_distilled(path)


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=r"distilled.safetensors"):
        load_distilled(path)


def test_a_failed_write_leaves_the_old_file_whole(fitted, whole, path, table, monkeypatch):
    def fill_the_disk(tensors, file, metadata):
        with open(file, "wb") as f:
            f.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(_files, "save_file", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        save_distilled(path, tiny(random_state=1).fit(*table))
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path], "nothing is left lying about"


def test_a_checkpoint_needs_a_folder_before_the_fit_begins(table, tmp_path):
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        tiny(checkpoint=tmp_path / "none" / "c").fit(*table)
    for call in (tiny(checkpoint=tmp_path).fit, partial(tiny().fit, resume_from=tmp_path)):
        with pytest.raises(IsADirectoryError, match="name a file in it"):
            call(*table)


def test_a_file_of_another_kind_is_refused(table, tmp_path):
    (tmp_path / "c").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a whole file of a checkpoint"):
        tiny().fit(*table, resume_from=tmp_path / "c")
