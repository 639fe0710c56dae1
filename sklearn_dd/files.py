"""Tensors and facts in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Parameters
    ----------
    name : str
        Stands in the file.
    version : int
        The latest that is known.
    content : str
        What such a file holds, for messages.
    writer : str
        What writes it, for messages.
    """

    name: str
    version: int
    content: str
    writer: str

    def write(self, path: PathLike, tensors: Mapping[str, Tensor], facts: Any) -> None:
        """Write tensors, and facts that JSON can hold."""
        path = check_folder(path)
        metadata = {"format": self.name, "version": str(self.version), "recipe": json.dumps(facts)}
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            # No two of them may share memory.
            own = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
            save_file(own, part, metadata)
            os.replace(part, path)

    def read(self, path: PathLike) -> tuple[dict[str, Tensor], Any]:
        """Read them back; a ValueError tells what is wrong with a file."""
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
        """What to raise for a file that is not whole."""
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
    """The path of a file to be written, whose folder must be there."""
    path = _of_a_file(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{str(path)!r} must lie in a folder that exists: make {str(path.parent)!r}, or name "
            "another file."
        )
    return path


NET = Format("sklearn_dd.net", 1, "a net", "train_pool(folder=...) after deleting it")


class Nets(list[dict[str, Tensor]]):
    """A list of state dicts that doesn't print all their weights."""

    def __repr__(self) -> str:
        return f"<{len(self)} nets>"


def load_pool(folder: PathLike) -> list[dict[str, Tensor]]:
    """Read a pool of nets from a folder.

    Parameters
    ----------
    folder : path-like
        A folder with a safetensors file for each net: what ``train_pool`` wrote, or state dicts
        from elsewhere.

    Returns
    -------
    list of dict
        A state dict for each net, in the order of the files' names.

    Raises
    ------
    ValueError
        If there is no such file, or one is damaged.

    See Also
    --------
    train_pool : Writes such folders.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import load_pool, train_pool
    >>> X, y = load_wine(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pool = train_pool(None, X, y, 3, n_epochs=1, folder=folder, random_state=0)
    ...     len(load_pool(folder))
    3
    """
    paths = sorted(Path(folder).glob("*.safetensors"))
    if not paths:
        has = "has no safetensors file" if Path(folder).is_dir() else "is no folder"
        raise ValueError(
            f"folder={os.fspath(folder)!r} {has}: give the folder of a pool, "
            "such as train_pool writes."
        )
    pool = Nets()
    for path in paths:
        try:
            pool.append(load_file(path))
        except SafetensorError as error:
            raise NET.damaged(path, error) from error
    return pool
