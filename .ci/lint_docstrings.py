"""Check the docstrings of all public classes, methods and functions with numpydoc.

The public names are those in ``__all__`` of the package and of its public modules, or all that a
module without ``__all__`` defines. The checks are those of ``[tool.numpydoc_validation]`` in
pyproject.toml.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from numpydoc.validate import ERROR_MSGS, validate

import sklearn_dd

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
# Methods that only the package calls, or authors of methods implement: one line says it all.
BRIEF = re.compile(
    r"\.(state_dict|load_state_dict|default_objective|zeros|replayed|choose|training|real_data"
    r"|as_tensors)$"
)


def public_objects() -> Iterator[tuple[str, Any]]:
    """Import path and object of all public classes, their methods, and functions."""
    modules = [
        m.name for m in pkgutil.iter_modules(sklearn_dd.__path__) if not m.name.startswith("_")
    ]
    seen = set()
    for module in (sklearn_dd, *(import_module(f"sklearn_dd.{name}") for name in modules)):
        for name in getattr(module, "__all__", None) or defined(module):
            member = getattr(module, name)
            if (inspect.isclass(member) or inspect.isfunction(member)) and member not in seen:
                seen.add(member)
                path = f"{module.__name__}.{name}"
                yield path, member
                if inspect.isclass(member):
                    yield from ((f"{path}.{k}", method) for k, method in methods(member))


def defined(module: ModuleType) -> list[str]:
    """The names without underscore that a module defines itself."""
    own = [k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_")]


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods that this package defines, inherited ones too."""
    for name, method in inspect.getmembers(cls, inspect.isroutine):
        ours = (getattr(method, "__module__", None) or "").startswith("sklearn_dd")
        if ours and not name.startswith("_"):
            yield name, method


def exempt(path: str, member: Any) -> set[str]:
    """The checks that make no sense for an object."""
    codes = set()
    if inspect.isclass(member) and "__init__" not in vars(member):
        codes.add("PR01")  # a named tuple has attributes; others inherit documented parameters
    if is_dataclass(member):
        codes.add("PR03")  # keyword-only parameters have no order
    if BRIEF.search(path):
        codes |= {"PR01", "RT01", "SS05"}
    return codes


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    configured = tomllib.loads(PYPROJECT.read_text())["tool"]["numpydoc_validation"]["checks"]
    left_out = set(configured) if "all" in configured else set(ERROR_MSGS) - set(configured)
    found = [*public_objects()]
    errors = [
        f"{path}: {code} {message}"
        for path, member in found
        for code, message in validate(path)["errors"]
        if code not in left_out | exempt(path, member)
    ]
    print(*errors, f"numpydoc: {len(found)} public objects, {len(errors)} errors", sep="\n")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
