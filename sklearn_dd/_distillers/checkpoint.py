"""Checkpoints: what a fit needs to continue after it was ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .._files import Format, PathLike, check_folder

FORMAT = Format("sklearn_dd.checkpoint", 1, "a checkpoint", "DatasetDistiller(checkpoint=...)")
_KEYS = {"parameters", "seed", "history", "progress", "best_score", "phase", "seconds"}


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
        if not isinstance(metadata, dict) or not metadata.keys() >= _KEYS:
            raise FORMAT.damaged(path, ValueError("its header is incomplete"))
        return cls(tensors, metadata)

    def check(self, parameters: dict[str, Any]) -> None:
        """Refuse to continue with other parameters or data."""
        before = _renamed(self.metadata["parameters"])
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


def _renamed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of earlier versions under the names of this one."""
    parameters = {"training_loop": "learned", **parameters}
    if "learn_targets" in parameters:
        parameters["labels"] = "free" if parameters.pop("learn_targets") else "hard"
    if "method" in parameters:
        parameters["method"] = _renamed_method(parameters["method"])
    return parameters


def _renamed_method(method: Any) -> Any:
    if isinstance(method, list):
        return [_renamed_method(part) for part in method]
    return "ridge" if method == "auto" else str(method).replace("(estimator=", "(method=")
