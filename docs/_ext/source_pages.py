"""Makes links to files that are not pages, which work in the repository, lead to pages that show the files.

A link to a file that is a page under another name (`source_pages` in conf.py) leads to that page, and a link
to a folder becomes its name without a link.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

REFTYPE = "source-page"


class _LinksOut(SphinxTransform):
    """Replaces links to files that are not pages, which Sphinx would offer as downloads."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        for link in [*self.document.findall(_is_link)]:
            path = self._file(link)
            if path is None:
                continue
            page = self.config.source_pages.get(path)
            if page is not None:
                refer = addnodes.pending_xref(
                    "", refdomain="std", reftype="doc", reftarget=f"/{page}", refexplicit=True
                )
            elif (_root(self.env) / path).is_file():
                refer = addnodes.pending_xref(
                    "", refdomain="", reftype=REFTYPE, reftarget=path, refexplicit=True
                )
                _shown(self.env).setdefault(self.env.docname, set()).add(path)
            else:
                refer = nodes.inline()
                for child in link.children:
                    child["classes"] = []  # so that it does not look like a link
            refer["refdoc"] = self.env.docname
            refer.source, refer.line = link.source, link.line
            refer += link.children
            link.replace_self(refer)

    def _file(self, link: nodes.Element) -> str | None:
        """Return the path in the repository to which a link leads, if it exists and is not a page."""
        target, root = link["reftarget"].partition("#")[0], _root(self.env)
        if not target or target in self.env.found_docs:
            return None
        if link.get("refdomain") == "doc":  # MyST has turned it into the name of a page, or an absolute path
            path = Path(self.env.srcdir, f"{target}.md")
        else:
            path = Path(self.env.relfn2path(target)[1]).resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) and path.exists() else None


def _is_link(node: nodes.Node) -> bool:
    if isinstance(node, addnodes.download_reference):
        return True
    return isinstance(node, addnodes.pending_xref) and node.get("reftype") == "myst"


def _root(env: BuildEnvironment) -> Path:
    return Path(env.srcdir).parent


def _shown(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return for each page the files that it links to."""
    if not hasattr(env, "source_pages_shown"):
        env.source_pages_shown = {}  # type: ignore[attr-defined]
    found: dict[str, set[str]] = env.source_pages_shown  # type: ignore[attr-defined]
    return found


def _name(path: str) -> str:
    return f"source/{path}"


def _resolve(app: Sphinx, _: BuildEnvironment, link: nodes.Element, text: nodes.Node) -> nodes.Node | None:
    if link.get("reftype") != REFTYPE:
        return None
    uri = app.builder.get_relative_uri(link["refdoc"], _name(link["reftarget"]))
    return nodes.reference("", "", text, internal=True, refuri=uri)


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for each linked file."""
    for path in sorted(set().union(*_shown(app.env).values())):
        text = (_root(app.env) / path).read_text(encoding="utf-8")
        code = app.builder.highlighter.highlight_block(text, _language(path), linenos="inline")  # type: ignore[attr-defined]
        body = f'<h1><code class="literal">{html.escape(path)}</code></h1>\n{code}'
        yield _name(path), {"title": path, "body": body}, "page.html"


def _language(path: str) -> str:
    if path.endswith(".cu"):
        return "cuda"
    try:
        return str(get_lexer_for_filename(path).aliases[0])
    except ClassNotFound:
        return "none"


def _forget(_: Sphinx, env: BuildEnvironment, name: str) -> None:
    _shown(env).pop(name, None)


def _merge(_: Sphinx, env: BuildEnvironment, __: set[str], other: BuildEnvironment) -> None:
    _shown(env).update(_shown(other))


def setup(app: Sphinx) -> dict[str, bool]:
    """Replace links while reading; resolve them and add the pages while writing."""
    app.add_config_value("source_pages", {}, "env", dict)
    app.add_transform(_LinksOut)
    app.connect("missing-reference", _resolve)
    app.connect("html-collect-pages", _pages)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
