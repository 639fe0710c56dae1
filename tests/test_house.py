"""The house stays as designed: imports point down, and the engine knows torch alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sklearn_dd

PACKAGE = Path(sklearn_dd.__file__).parent
STANDARD = {
    "__future__",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "itertools",
    "math",
    "operator",
    "threading",
    "types",
    "typing",
    "warnings",
}
FLOORS = [
    {"modules", "files", "memory"},
    {"data"},
    {"student", "validation", "methods"},
    {"evaluation", "callbacks"},
    {"targets"},
    {"distilled"},
    {"run", "start"},
    {"base", "display", "pools"},
    {"distiller", "regressor"},
    {"baselines", "attack"},
    {"comparison"},
]


def imports(path: Path, relative: bool) -> set[str]:
    """First names of the modules that a file imports at its top or inside."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and bool(node.level) == relative:
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import) and not relative:
            names |= {alias.name.split(".")[0] for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("engine/*.py")), ids=lambda p: p.name)
def test_the_engine_knows_torch_alone(path):
    assert imports(path, relative=False) <= {"torch", *STANDARD}
    assert not any(
        isinstance(node, ast.ImportFrom) and node.level > 1
        for node in ast.walk(ast.parse(path.read_text()))
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.name)
def test_imports_point_down(path):
    if path.stem == "__init__":
        return
    floor = next(i for i, names in enumerate(FLOORS) if path.stem in names)
    below = {"engine"}.union(*FLOORS[:floor])
    assert imports(path, relative=True) <= below


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.name)
def test_one_file_knows_skorch(path):
    assert "skorch" not in imports(path, relative=False) or path.stem == "student"
