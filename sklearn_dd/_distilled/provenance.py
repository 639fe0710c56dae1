"""Descriptions of how data were made: names, numbers and hashes that JSON can hold.

A fit can be resumed only with parameters of the same description. Numbers and strings are kept;
arrays and weights are hashed. A callable is described by its name, its defaults, the values that it
closes over and its public attributes. A lambda is described by its bytecode too, which changes with
the Python version. Other functions of the same name are not distinguished by their code. Objects
that a callable holds, other than numbers, strings and arrays, are described by their class alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import joblib
import numpy as np
import torch

from .._student import Spec, state_of

_VALUES = str | int | float | None | np.generic | np.ndarray | torch.Tensor


def describe(value: Any) -> Any:
    """Describe a value in a form that JSON can hold."""
    state = state_of(value)
    if state:
        return f"weights {joblib.hash({name: _on_host(p) for name, p in state.items()})}"
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"array {joblib.hash(_on_host(value))}"
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | int | float | None):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        # For example a method object. Its repr could hold the address of a function.
        members = {f.name: describe(getattr(value, f.name)) for f in fields(value) if f.init}
        return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in members.items())})"
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    name = getattr(value, "__name__", type(value).__name__)
    made_with = _made_with(value)
    return f"{name}({', '.join(map(str, made_with))})" if made_with else name


def identity(spec: Spec) -> list[Any]:
    """Values that identify a student: its class, arguments and optimiser."""
    return [spec.name, describe(spec.arguments), repr(spec.optimizer)]


def _made_with(value: Any) -> list[Any]:
    """The values that a callable was made with, which its name does not tell."""
    if isinstance(value, type) or not callable(value):
        return []
    if isinstance(value, partial):
        return [describe(part) for part in (value.func, value.args, value.keywords)]
    code = getattr(value, "__code__", None)
    if code is None:
        members = getattr(value, "__dict__", {})
        parts = [members[name] for name in sorted(members) if not name.startswith("_")]
    else:
        cells = (cell.cell_contents for cell in value.__closure__ or ())
        parts = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *cells]
        if code.co_name == "<lambda>":
            parts += [code.co_code.hex(), *code.co_names, *code.co_consts]
    # Members of other objects are not followed: a function may close over itself.
    return [describe(p) if isinstance(p, _VALUES) else type(p).__name__ for p in parts]


def _on_host(values: Any) -> Any:
    return values.detach().cpu().float().numpy() if isinstance(values, torch.Tensor) else values
