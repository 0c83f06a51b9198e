"""The directive ``algorithm-table``: an engine's algorithms in the order in which they are tried.

Its argument is the module that has the list, ``ALGORITHMS``, whose entries have a name, a summary, and the
sources of their kernels.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class AlgorithmTable(SphinxDirective):
    """A row for each algorithm: the primitives that try it, its name, its kernels' files, what it is for."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table as nodes of Sphinx."""
        return self.parse_text_to_nodes("\n".join(lines(importlib.import_module(self.arguments[0]))))


def lines(planner: ModuleType) -> Iterator[str]:
    """Yield the lines of the table, whose links lead from a page in docs/ to the files of the kernels."""
    package = planner.__name__.partition(".")[0]
    yield "| primitives | algorithm | kernels | runs |"
    yield "| --- | --- | --- | --- |"
    for primitives, algorithms in _lists(planner.ALGORITHMS):
        for algorithm in algorithms:
            files = dict.fromkeys(source.file for source in algorithm.sources)
            kernels = ", ".join(f"[`{file}`](../backends/{package}/kernels/{file})" for file in files)
            yield f"| {', '.join(primitives)} | `{algorithm.name}` | {kernels} | {algorithm.summary} |"


def _lists(algorithms: dict[str, Sequence[Any]]) -> Iterator[tuple[list[str], Sequence[Any]]]:
    """Yield each list once, with the primitives that have it."""
    for listed in dict.fromkeys(map(tuple, algorithms.values())):
        yield [primitive for primitive, own in algorithms.items() if tuple(own) == listed], listed


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("algorithm-table", AlgorithmTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
