"""Checkpoints: what a fit needs to continue after it was ended."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .._files import Format, PathLike, check_folder

FORMAT = Format("sklearn_dd.checkpoint", 1, "a checkpoint", "DatasetDistiller(checkpoint=...)")
_KEYS = {
    "parameters", "seed", "history", "progress", "next_look", "kept", "looking", "course", "phase",
    "seconds", "budget",
}  # fmt: skip
_COURSE = 4  # numbers that a course is described by


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint; empty for a fit that starts afresh.

    Parameters
    ----------
    tensors : dict of Tensor
        States of the outer loop and of the monitor.
    metadata : dict
        Seed, parameters, phase, history and seconds so far.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: PathLike | None, *, write_to: PathLike | None = None) -> Checkpoint:
        """Read a file; None gives an empty checkpoint. Check that the next can be written."""
        if write_to is not None:
            check_folder(write_to)
        if path is None:
            return cls()
        tensors, metadata = FORMAT.read(path)
        if isinstance(metadata, dict) and _is_earlier(metadata):
            raise ValueError(
                f"{os.fspath(path)!r} is a checkpoint of an earlier version, whose fits took "
                "another course. End that fit with the version that began it, or start afresh."
            )
        if not isinstance(metadata, dict) or not metadata.keys() >= _KEYS:
            raise FORMAT.damaged(path, ValueError("its header is incomplete"))
        return cls(tensors, metadata)

    def check(self, parameters: dict[str, Any]) -> None:
        """Refuse to continue with other parameters or data."""
        before = self.metadata["parameters"]
        changed = sorted(k for k in parameters if before.get(k) != parameters[k])
        if changed:
            raise ValueError(
                "resume_from belongs to another fit: "
                + ", ".join(f"{k} was {before.get(k)!r} and is {parameters[k]!r}" for k in changed)
                + ". Give data and parameters as they were, or start afresh."
            )

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix``, without it."""
        return {k.removeprefix(prefix): t for k, t in self.tensors.items() if k.startswith(prefix)}


def _is_earlier(metadata: dict[str, Any]) -> bool:
    """Whether a fit of an earlier version wrote the file."""
    course = metadata.get("course", [None] * _COURSE)
    return "best_score" in metadata or len(course) != _COURSE
