"""The directive ``algorithm-table``: an engine's algorithms in the order in which they are tried.

Its argument is the module that has the list, ``ALGORITHMS``: either one list, whose entries have the
primitives that they run, a name and a summary; or a list for each primitive, whose entries also have sources.
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
    if isinstance(planner.ALGORITHMS, tuple):
        yield from _lines_of_one_list(planner.ALGORITHMS)
        return
    package = planner.__name__.partition(".")[0]
    yield "| primitives | algorithm | kernels | runs |"
    yield "| --- | --- | --- | --- |"
    for primitives, algorithms in _lists(planner.ALGORITHMS):
        for algorithm in algorithms:
            files = dict.fromkeys(source.file for source in algorithm.sources)
            kernels = ", ".join(f"[`{file}`](../backends/{package}/kernels/{file})" for file in files)
            yield f"| {', '.join(primitives)} | `{algorithm.name}` | {kernels} | {algorithm.summary} |"


def _lines_of_one_list(algorithms: Sequence[Any]) -> Iterator[str]:
    """Yield the table of algorithms that name their primitives; those alike but for these are one row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for algorithm in algorithms:
        rows.setdefault((algorithm.name, algorithm.summary), []).extend(algorithm.primitives)
    yield "| primitives | algorithm | runs |"
    yield "| --- | --- | --- |"
    for (name, summary), primitives in rows.items():
        yield f"| {', '.join(primitives)} | `{name}` | {summary} |"


def _lists(algorithms: dict[str, Sequence[Any]]) -> Iterator[tuple[list[str], Sequence[Any]]]:
    """Yield each list once, with the primitives that have it."""
    for listed in dict.fromkeys(map(tuple, algorithms.values())):
        yield [primitive for primitive, own in algorithms.items() if tuple(own) == listed], listed


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("algorithm-table", AlgorithmTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
