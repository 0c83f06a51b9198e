"""Every link in the documentation to a file, or to a heading of one, leads somewhere.

These files are read in the repository and as a site, so a relative link must be right in both; Sphinx looks
at the latter when the site is built. ``make linkcheck`` asks other sites.
"""

from __future__ import annotations

import itertools
import re
from urllib.parse import unquote

import pytest
from mdit_py_plugins.anchors.index import slugify
from support.markdown_pages import PAGES, ROOT, tokens


def links(page):
    """Yield the line and the target of each link and picture of a page."""
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                yield token.map[0] + 1, unquote(str(target))


def anchors(page):
    """Return what a link into a page may name: its headings, and labels of MyST."""
    found = set(re.findall(r"^\((.+)\)=$", page.read_text(encoding="utf-8"), re.MULTILINE))
    for token, inline in itertools.pairwise(tokens(page)):
        if token.type == "heading_open":
            name = slugify("".join(part.content for part in inline.children))
            found.add(
                next(slug for slug in (name, *(f"{name}-{i}" for i in range(1, 99))) if slug not in found)
            )
    return found


def broken(page, root=ROOT):
    """Yield each link of a page that leads nowhere in the folder `root`."""
    for line, target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(root) or not file.exists():
            yield f"line {line}: {target}"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
            yield f"line {line}: {target} has no such heading; there are {sorted(anchors(file))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert [*broken(page)] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One & two\n\n[a](#one--two) [b](#two) [c](none.md) ![d](none.png) [e](../) [f](https://none.invalid)\n"
    )
    found = [text.partition(": ")[2].split()[0] for text in broken(page, tmp_path)]
    assert found == ["#two", "none.md", "none.png", "../"]
