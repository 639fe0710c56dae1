"""The house stays as designed: imports point down, rooms are small, the engine is torch alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest

import sklearn_dd

PACKAGE = Path(sklearn_dd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = [path for path in FILES if path.name != "__init__.py"]  # an __init__ hands names on

PUBLIC = {"augmentation", "initializers", "methods", "students"}
FLOORS = [
    {"_engine"},
    {"_guards", "_files", "methods", "augmentation", "initializers"},
    {"_data", "students"},
    {"_scores", "_selection", "_student"},
    {"_evaluation"},
    {"_distilled"},
    {"_distillers"},
    {"_baselines", "_attack", "_pools", "_display"},
    {"_comparison"},
]
FLOORS_OF_ENGINE = [
    {"carry", "losses", "seeds", "distilled_set", "reducer", "private_torch"},
    {"reverse_step", "priors"},
    {"optimizers"},
    {"student_fn", "counterparts"},
    {"fast", "model_fn"},
    {"inner_loop"},
    {"hypergradients"},
    {"outer_loop"},
]
ENGINE_MAY_IMPORT = {*sys.stdlib_module_names, "torch"}
SKORCH = {"spec.py", "weights.py", "replay.py"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(level, module) of each import of a file, at its top or inside; level 0 is absolute."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, each) for each in names)
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


def siblings(path: Path) -> set[str]:
    """The modules of the package that a file imports, as paths below the package."""
    found = set()
    for level, module in imports(path):
        if level:
            folder = path.parents[level - 1].relative_to(PACKAGE)
            found.add("/".join([*folder.parts, *module.split(".")]).strip("/"))
    return found


def room(path: Path) -> str:
    """The module or package right below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str, floors: list[set[str]]) -> int:
    """The floor of a room; a new room has to be given one."""
    levels = [i for i, names in enumerate(floors) if name in names]
    assert levels, f"{name} stands on no floor of this file: say where it belongs"
    return levels[0]


def lines_of_code(function: ast.FunctionDef, source: list[str]) -> int:
    """Lines of a function that are neither blank, nor comments, nor its docstring."""
    skipped: set[int] = set()
    if ast.get_docstring(function) is not None:
        text = function.body[0]
        skipped = set(range(text.lineno, text.end_lineno + 1))
    numbers = set(range(function.lineno, function.end_lineno + 1)) - skipped
    lines = (source[n - 1].strip() for n in numbers)
    return sum(bool(line) and not line.startswith("#") for line in lines)


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_few_modules_are_public():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert {each for each in rooms if not each.startswith("_")} == PUBLIC


def test_all_that_is_public_imports_from_the_top():
    assert all(hasattr(sklearn_dd, each) for each in sklearn_dd.__all__)
    for module in PUBLIC - {"methods"}:  # which also holds what authors of methods need
        classes = {
            node.name
            for node in ast.parse((PACKAGE / f"{module}.py").read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        }
        assert classes <= set(sklearn_dd.__all__)


@pytest.mark.parametrize("public", [*sklearn_dd.__all__, "methods.Method", "methods.OuterProblem"])
def test_what_is_public_is_in_the_reference_with_an_example(public):
    page = (PACKAGE.parent / "docs" / "api.rst").read_text()
    assert f"   {public}\n" in page
    found = attrgetter(public)(sklearn_dd)
    # A constant has the docstring of its class.
    assert ">>>" in found.__doc__ or public in {"COLOR", "DSA", "methods.OuterProblem"}


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "_engine"], ids=name)
def test_the_engine_knows_torch_alone(path):
    absolute = {module.split(".")[0] for level, module in imports(path) if level == 0}
    assert absolute <= ENGINE_MAY_IMPORT
    assert all(each.startswith("_engine") for each in siblings(path))


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_imports_point_down(path):
    own = room(path)
    for other in {each.split("/")[0] for each in siblings(path)} - {own}:
        assert floor(other, FLOORS) < floor(own, FLOORS)


@pytest.mark.parametrize("path", [p for p in ROOMS if room(p) == "_engine"], ids=name)
def test_imports_point_down_in_the_engine(path):
    own = path.relative_to(PACKAGE / "_engine").parts[0].removesuffix(".py")
    for other in {each.split("/")[1] for each in siblings(path)} - {own}:
        assert floor(other, FLOORS_OF_ENGINE) < floor(own, FLOORS_OF_ENGINE)


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_a_package_is_entered_by_its_face(path):
    others = (each for each in siblings(path) if each.split("/")[0] != room(path))
    assert not [each for each in others if "/" in each]


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_a_module_imports_at_most_eight_others(path):
    assert len(siblings(path)) <= 8


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_a_file_is_read_in_one_sitting(path):
    assert 20 <= len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_a_function_has_at_most_sixty_lines_of_code(path):
    source = path.read_text().splitlines()
    for node in ast.walk(ast.parse("\n".join(source))):
        if isinstance(node, ast.FunctionDef):
            assert lines_of_code(node, source) <= 60, node.name


def test_fit_has_at_most_forty_lines_of_code():
    source = (PACKAGE / "_distillers" / "base.py").read_text()
    fit = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "fit"
    )
    assert lines_of_code(fit, source.splitlines()) <= 40


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_students_alone_know_skorch(path):
    knows = any(module.split(".")[0] == "skorch" for _, module in imports(path))
    assert not knows or (room(path) == "_student" and path.name in SKORCH)


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_private_names_of_torch_stand_in_one_place(path):
    if path.name == "private_torch.py":
        return
    text = path.read_text()
    assert "torch._" not in text
    assert "_aten._" not in text
    assert "fx.experimental" not in text


@pytest.mark.system
def test_importing_costs_little_above_torch_and_scikit_learn():
    fastest = min(
        float(subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True).stdout)
        for _ in range(3)
    )
    assert fastest < 0.3


_IMPORT = """
import time, torch
import sklearn.cluster, sklearn.ensemble, sklearn.linear_model, sklearn.metrics, sklearn.neighbors
start = time.process_time()
import sklearn_dd
print(time.process_time() - start)
"""
