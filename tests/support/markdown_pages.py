"""Parses the project's Markdown files."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from mdit_py_plugins.front_matter import front_matter_plugin

ROOT = Path(__file__).parents[2]
#: Pages for people: the documentation, and the files beside the code.
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    *sorted((ROOT / "examples").glob("*/README.md")),
]

_parser = MarkdownIt("commonmark").enable("table").use(front_matter_plugin)


def tokens(page):
    """Return the tokens of a page."""
    return _parser.parse(page.read_text(encoding="utf-8"))
