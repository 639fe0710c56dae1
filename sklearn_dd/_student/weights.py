"""Weight priors from ``init``, and pools of nets from disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from skorch import NeuralNet
from torch import Tensor, nn

from .._engine import Prior, Stream, Weights, generator, priors
from .._files import Format, PathLike
from .replay import Standardized
from .spec import StudentSpec

NET = Format("sklearn_dd.net", 1, "a net", "train_pool(folder=...) after deleting it")
_NAMES = ("random", "fixed")


class Nets(list[dict[str, Tensor]]):
    """A list of state dicts whose ``repr`` does not print all weights."""

    def __repr__(self) -> str:
        return f"<{len(self)} nets>"


def known_nets(init: Any) -> Any:
    """A list of nets if ``init`` is a folder or a state dict, else ``init`` itself."""
    if isinstance(init, os.PathLike) or (isinstance(init, str) and init not in _NAMES):
        if isinstance(init, str) and not Path(init).is_dir():
            raise ValueError(
                f"init={init!r} is neither 'random' nor 'fixed', nor a folder of nets. Choose one "
                "of them, or pass a callable, a list of nets or a state dict."
            )
        return load_pool(init)
    return [init] if isinstance(init, Mapping) else init


def state_of(net: Any) -> dict[str, Any] | None:
    """The state dict of a fitted skorch net, or a state dict itself; else None."""
    if isinstance(net, NeuralNet) and net.initialized_:
        module = net.module_
        net = (module.net if isinstance(module, Standardized) else module).state_dict()
    if isinstance(net, Mapping) and all(isinstance(p, Tensor | np.ndarray) for p in net.values()):
        return dict(net)
    return None


def weight_prior(init: Any, spec: StudentSpec, seed: int) -> Prior:
    """The weight prior that ``init`` stands for.

    Parameters
    ----------
    init : {"random", "fixed"}, callable, list, dict, str or path-like
        The module's own initialisation, one draw of it, a function that initialises a module in
        place, or known nets.
    spec : StudentSpec
        The student whose weights are drawn.
    seed : int
        Seed of the draw for ``"fixed"``.

    Returns
    -------
    callable
        The prior.
    """
    init = known_nets(init)
    if isinstance(init, nn.Module | type):
        raise TypeError(
            "init must be 'random', 'fixed', a callable that initialises a module, a list of nets "
            f"or the path of a folder of nets, got {init!r}: give its state_dict()."
        )
    if isinstance(init, str):
        prior = priors.random(spec)
        return priors.Pool([prior(generator(seed, Stream.FIXED, 0))]) if init == "fixed" else prior
    if callable(init):

        def build() -> nn.Module:
            module = spec()
            init(module)
            return module

        return priors.random(build)
    if not isinstance(init, list | tuple):
        raise TypeError(
            "init must be 'random', 'fixed', a callable, a list of nets, a state dict or the path "
            f"of a folder of nets, got {type(init).__name__}. Wrap one net in a list."
        )
    if not init:
        raise ValueError("init is an empty list: give at least one state dict or fitted net.")
    return priors.Pool([_weights(member, spec, i) for i, member in enumerate(init)])


def _weights(member: Any, spec: StudentSpec, index: int) -> Weights:
    """The parameters of one member of a pool, checked against the student's."""
    if isinstance(member, NeuralNet) and not member.initialized_:
        raise ValueError(
            f"init[{index}] is a skorch net that is not fitted: fit it first. In the grid of a "
            "search, which clones it, give its state dict."
        )
    state = state_of(member)
    if state is None:
        raise TypeError(
            f"init[{index}] must be a state dict or a fitted skorch net, got {member!r}. For a "
            "module, give its state_dict()."
        )
    expected = spec.shapes()
    actual = {k: tuple(v.shape) for k, v in state.items() if k in expected}
    if actual != expected:
        name = next(k for k in expected if actual.get(k) != expected[k])
        raise ValueError(
            f"init[{index}] does not fit the student {spec.name}: its parameter {name!r} has "
            f"shape {expected[name]}, but the pool's net has "
            f"{actual.get(name, 'none of that name')}. "
            "Pass nets of the student's own class and size."
        )
    weights = {n: torch.as_tensor(state[n]).detach().cpu().float().clone() for n in expected}
    if not all(w.isfinite().all() for w in weights.values()):
        raise ValueError(f"init[{index}] has weights that are not finite: leave this net out.")
    return weights


def load_pool(folder: PathLike) -> list[dict[str, Tensor]]:
    """Read a pool of nets from a folder.

    Parameters
    ----------
    folder : path-like
        A folder with a safetensors file for each net. ``train_pool`` writes such folders. The files
        may hold state dicts from any other source.

    Returns
    -------
    list of dict
        The state dict of each net, in the order of the file names.

    Raises
    ------
    ValueError
        If the folder has no safetensors file, or if a file is damaged.

    See Also
    --------
    train_pool : Trains a pool and writes it to a folder.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import load_pool, train_pool
    >>> X, y = load_wine(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pool = train_pool(X, y, 3, n_epochs=1, folder=folder, random_state=0)
    ...     len(load_pool(folder))
    3
    """
    paths = sorted(Path(folder).glob("*.safetensors"))
    if not paths:
        has = "has no safetensors file" if Path(folder).is_dir() else "is no folder"
        raise ValueError(
            f"folder={os.fspath(folder)!r} {has}: pass the folder of a pool, "
            "such as train_pool writes."
        )
    pool = Nets()
    for path in paths:
        try:
            pool.append(load_file(path))
        except SafetensorError as error:
            raise NET.damaged(path, error) from error
    return pool
