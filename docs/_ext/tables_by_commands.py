"""Adds a title to pages that ``convhub bench --markdown`` wrote, whose headings begin at the third level."""

from __future__ import annotations

import re

from sphinx.application import Sphinx


def _add_title(_: Sphinx, name: str, source: list[str]) -> None:
    if source[0].startswith("### "):
        title = name.rpartition("/")[2].replace("-", " ")
        source[0] = f"# Measured layers: {title}\n\n" + re.sub("^### ", "## ", source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Change each page's text before it is parsed."""
    app.connect("source-read", _add_title)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
