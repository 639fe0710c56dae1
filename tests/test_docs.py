"""Every example of the documentation runs, page by page, in an empty folder."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))]
_MARKDOWN = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_DIRECTIVE = re.compile(r"^( *)\.\. code-block:: python\s*$")

pytestmark = pytest.mark.slow


def blocks(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page, each with the line on which it begins."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return [(text[: m.start(1)].count("\n"), m[1]) for m in _MARKDOWN.finditer(text)]
    return list(_of_restructured_text(text.splitlines()))


def _of_restructured_text(lines: list[str]) -> Iterator[tuple[int, str]]:
    for i, line in enumerate(lines):
        if directive := _DIRECTIVE.match(line):
            indent = len(directive[1])
            body = []
            for inside in lines[i + 1 :]:
                if inside.strip() and len(inside) - len(inside.lstrip()) <= indent:
                    break
                body.append(inside)
            options = next((k for k, of in enumerate(body) if not of.lstrip().startswith(":")), 0)
            yield i + 1 + options, textwrap.dedent("\n".join(body[options:]))


WITH_EXAMPLES = [page for page in PAGES if blocks(page)]


def test_there_are_examples_to_run():
    names = {page.name for page in WITH_EXAMPLES}
    assert {"README.md", "getting_started.rst", "method.rst", "data.rst"} <= names


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, block in blocks(page):
        # Empty lines, so that a traceback names the line of the page.
        exec(compile("\n" * line + block, str(page), "exec"), namespace)
    plt.close("all")
