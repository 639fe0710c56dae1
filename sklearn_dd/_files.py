"""Tensors and metadata in one safetensors file, which is written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Parameters
    ----------
    name : str
        Name of the format, as written in the file.
    version : int
        Latest version that this package can read.
    content : str
        What such a file holds, for error messages.
    writer : str
        What writes such a file, for error messages.
    """

    name: str
    version: int
    content: str
    writer: str

    def write(self, path: PathLike, tensors: Mapping[str, Tensor], header: Any) -> None:
        """Write tensors, and a header that JSON can hold."""
        path = check_folder(path)
        metadata = {"format": self.name, "version": str(self.version), "recipe": json.dumps(header)}
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            # safetensors refuses tensors that share memory, so each is copied.
            own = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
            save_file(own, part, metadata)
            os.replace(part, path)

    def read(self, path: PathLike) -> tuple[dict[str, Tensor], Any]:
        """Read tensors and header; a ValueError says what is wrong with the file."""
        path = _of_a_file(path)
        try:
            with safe_open(os.fspath(path), framework="pt") as f:
                metadata = f.metadata() or {}
                known = metadata.get("format") == self.name
                tensors = {name: f.get_tensor(name) for name in f.keys() if known}  # noqa: SIM118
        except SafetensorError as error:
            raise self.damaged(path, error) from error
        if not known:
            raise ValueError(
                f"{os.fspath(path)!r} holds tensors, but not {self.content}: its format is "
                f"{metadata.get('format')!r}, not {self.name!r}. Write it with {self.writer}."
            )
        try:
            if int(metadata["version"]) <= self.version:
                return tensors, json.loads(metadata["recipe"])
        except (LookupError, ValueError) as error:
            raise self.damaged(path, error) from error
        raise ValueError(
            f"{os.fspath(path)!r} has version {metadata['version']} of the format, and "
            f"this sklearn_dd reads up to {self.version}: install a newer one."
        )

    def damaged(self, path: PathLike, error: Exception) -> ValueError:
        """The error for a file that is damaged."""
        return ValueError(
            f"{os.fspath(path)!r} is not a whole file of {self.content} ({error}). It is damaged "
            f"or of another kind: write it again with {self.writer}."
        )


def _of_a_file(path: PathLike) -> Path:
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder: name a file in it.")
    return path


def check_folder(path: PathLike) -> Path:
    """The path of a file to be written; refuse it if its folder does not exist."""
    path = _of_a_file(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{str(path)!r} must lie in a folder that exists: create {str(path.parent)!r}, or name "
            "another file."
        )
    return path
