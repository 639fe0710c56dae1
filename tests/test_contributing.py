"""CONTRIBUTING.md is right: its Python blocks run, in order and in one namespace.

The blocks are executed here, so that pytest collects the tests that they define, with the fixtures
and marks that they name.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

_text = PAGE.read_text(encoding="utf-8")
for _found in BLOCK.finditer(_text):
    _lines_before = _text.count("\n", 0, _found.start(1))  # so that errors name lines of the page
    exec(compile("\n" * _lines_before + _found[1], PAGE, "exec"), globals())


def test_the_page_shows_how_to_add_each_kind_and_to_test_it():
    for example in ("LastStep", "ResidualMLP", "NearestToMean"):
        assert isinstance(globals()[example], type)
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", example).lower()
        assert any(name.startswith(f"test_{snake}_") for name in globals()), example
