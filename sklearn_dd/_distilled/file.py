"""Save and load distilled data as one safetensors file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from .._data import Continuous, Multiclass, Standardize, Table, read_targets
from .._engine import SGD, Adam, Momentum, Optimizer
from .._files import Format
from .checks import check_distiller
from .data import DistilledData
from .recipe import Recipe

_FORMAT = Format("sklearn_dd.distilled", 1, "distilled data", "save_distilled")
_INITIAL = "initial."  # the prefix of the known net's parameters in a file


def save_distilled(path: str | os.PathLike[str], distilled: Any) -> None:
    """Write distilled data to one safetensors file, with all that is needed to train a student.

    The file holds X, y, the step sizes, the classes, and the layout and standardisation of the
    samples. It also holds the weights of a known net and a description of how the data were made.
    It holds no code, so a file from others is safe to load. It is written whole or not at all.

    Parameters
    ----------
    path : str or path-like
        File to write. By convention, its name ends in ``.safetensors``.
    distilled : DatasetDistiller or DistilledData
        A fitted distiller, or the distilled data that its ``transform`` returned.

    See Also
    --------
    load_distilled : Reads the file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, load_distilled, save_distilled
    >>> distiller = DatasetDistiller(max_iter=5, random_state=0).fit(*load_wine(return_X_y=True))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "wine.safetensors")
    ...     save_distilled(path, distiller)
    ...     X_syn, y_syn, lrs = load_distilled(path)
    >>> y_syn
    array([0, 1, 2])
    """
    if not isinstance(distilled, DistilledData):
        check_distiller(distilled, "save_distilled")
        distilled = distilled.transform()
    data = distilled
    recipe = data.recipe
    if recipe is None:
        raise ValueError(
            "distilled has no recipe: take it from DatasetDistiller.transform or load_distilled."
        )
    units = recipe.units
    y = data.y
    if isinstance(recipe.targets, Multiclass):
        y = recipe.targets.indices(y)
    arrays = {"X": recipe.numbers(data.X), "y": y, "lrs": data.lrs}
    tensors = {name: torch.tensor(a) for name, a in arrays.items()}
    tensors |= {"shift": units.shift, "scale": units.scale}
    tensors |= {_INITIAL + name: p for name, p in (recipe.weights or {}).items()}
    header = {
        **recipe.targets.metadata(),
        "input_shape": units.input_shape,
        "sample_shape": units.sample_shape,
        "order": "by step, class within step; step t trains on mini-batch t mod n_steps",
        "optimizer": {"name": type(recipe.optimizer).__name__, **vars(recipe.optimizer)},
        "description": recipe.description,
        **({} if recipe.table is None else {"table": recipe.table.metadata()}),
    }
    _FORMAT.write(path, tensors, header)


def load_distilled(path: str | os.PathLike[str]) -> DistilledData:
    """Read distilled data that ``save_distilled`` wrote.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    DistilledData
        The triple (X, y, lrs) that the distiller's ``transform`` returned. Its ``train`` trains a
        student, and its ``evaluate`` scores students.

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or of a later version of this format.

    See Also
    --------
    save_distilled : Writes the file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, load_distilled, save_distilled
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(max_iter=20, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "wine.safetensors")
    ...     save_distilled(path, distiller)
    ...     distilled = load_distilled(path)
    >>> distilled.X.shape
    (3, 13)
    >>> student = distilled.train(random_state=1)
    >>> student.predict(X[:1]).shape
    (1,)
    """
    tensors, header = _FORMAT.read(path)
    try:
        return _read(header, tensors)
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise _FORMAT.damaged(path, error) from error


def _read_optimizer(name: str, **arguments: Any) -> Optimizer:
    kinds: dict[str, Callable[..., Optimizer]] = {k.__name__: k for k in (SGD, Momentum, Adam)}
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    return kinds[name](**options)


def _read(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> DistilledData:
    """Distilled data from the contents of a file. Errors of many types mean that it is damaged."""
    targets = read_targets(header)
    X, y, lrs = (tensors[name].numpy() for name in ("X", "y", "lrs"))
    shift, scale = tensors["shift"], tensors["scale"]
    units = Standardize(tuple(header["input_shape"]), tuple(header["sample_shape"]), shift, scale)
    weights = {
        name.removeprefix(_INITIAL): p for name, p in tensors.items() if name.startswith(_INITIAL)
    }
    _, n_steps = lrs.shape
    if X.shape[1:] != units.input_shape or len(X) != len(y) or len(X) % n_steps:
        raise ValueError(f"X is {X.shape}, y {y.shape}, lrs {lrs.shape}")
    if isinstance(targets, Multiclass):
        if y.shape[1:] not in {(), targets.values.shape} or (y.ndim == 1 and y.min() < 0):
            raise ValueError("y does not hold the classes")
        y = y if y.ndim == 2 else targets.values[y]
    elif y.shape[1:] != (() if isinstance(targets, Continuous) else targets.values.shape):
        raise ValueError("y does not hold the labels or numbers")
    optimizer = header.get("optimizer", {"name": SGD.__name__})  # early files do not name it
    recipe = Recipe(
        targets, units, weights or None, description=header["description"],
        optimizer=_read_optimizer(**optimizer),
        table=Table.read(header["table"]) if "table" in header else None,
    )  # fmt: skip
    data = DistilledData(X if recipe.table is None else recipe.table.decode(X), y, lrs, recipe)
    data.as_tensors()  # raises an error if shift or scale do not fit
    return data
