"""Writes a report as Markdown, for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .formatting import (
    CLASS_HEADERS,
    LAYER_HEADERS,
    MEMORY,
    class_cells,
    facts,
    host_bound,
    layer_cells,
    not_compared,
    theirs,
    totals,
)
from .results import Report
from .summary import Summary, summaries

__all__ = ["escaped", "table", "to_markdown"]


def to_markdown(report: Report) -> str:
    """Return a table of classes for each primitive and mode of memory, all layers, and the machine."""
    found = summaries(report.rows)
    lines: list[str] = []
    for summary in found:
        lines += [f"### {summary.title}, memory {summary.memory}", "", f"{_sentence(summary.memory)}", ""]
        lines += _classes(summary, report)
    lines += ["### Every layer", ""]
    for summary in found:
        lines += [f"**{summary.title}, memory {summary.memory}**", ""]
        lines += [*table(LAYER_HEADERS, (layer_cells(row) for row in summary.rows), left=4), ""]
    lines += ["### Machine and command", ""]
    lines += [f"- {escaped(fact)}" for fact in facts(report)]
    return "\n".join(lines) + "\n"


def _sentence(memory: str) -> str:
    text = MEMORY[memory]
    return f"{text[0].upper()}{text[1:]}."


def _classes(summary: Summary, report: Report) -> list[str]:
    headers = [header.format(theirs(report.settings)) for header in CLASS_HEADERS]
    return [
        *table(headers, (class_cells(found) for found in summary.classes), left=1),
        "",
        *(f"{escaped(line)}\n" for line in totals(summary, report.settings)),
        *(f"- {escaped(line)}" for line in (*host_bound(summary.rows), *not_compared(summary.rows))),
        "",
    ]


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> list[str]:
    """Return the lines of a table whose first `left` columns are texts and whose others are numbers."""
    rule = ["---" if column < left else "---:" for column in range(len(headers))]
    return [f"| {' | '.join(map(escaped, cells))} |" for cells in (headers, rule, *rows)]


def escaped(text: str) -> str:
    r"""Escape a text so that Markdown shows it unchanged.

    Examples
    --------
    >>> escaped("grad_input | n1")
    'grad\\_input \\| n1'
    """
    return "".join(f"\\{letter}" if letter in "\\|_*`<>[]" else letter for letter in text)
