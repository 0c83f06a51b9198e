"""Shows where the time of compiling went, for ``convhub compile --profile``: tables, Markdown, JSON."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..ahead.profile import HELPER_HEADERS, headers_of, helpers_of, rows_of
from ..ahead.worker import Outcome
from ..backend import KernelProfile
from ..bench.markdown import escaped
from ..bench.markdown import table as markdown_table
from ..system.machine import this_machine
from ..system.versions import versions
from .json_output import STDOUT, write_json, write_text
from .output import counted, new_table, show

__all__ = ["report_profile"]

#: Explains the columns, in the terminal and on the page.
NOTE = (
    "Seconds are of one core's time. A kernel's row has the helpers that were compiled for it. Copies of a "
    "helper are optimised once more in each kernel that contains them."
)


def report_profile(
    outcomes: Sequence[Outcome], seconds: float, command: str, json_file: str | None, markdown: Path | None
) -> None:
    """Print and write what was measured.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What came of each problem.
    seconds : float
        How long all took.
    command : str
        The command line that repeats it.
    json_file : str or None
        The value of ``--json``.
    markdown : Path or None
        The value of ``--markdown``.
    """
    kernels = [kernel for outcome in outcomes for kernel in outcome.kernels]
    if markdown is not None:
        write_text(_page(kernels, command), str(markdown))
    if json_file is not None:
        measured = {
            "problems": list(map(asdict, outcomes)),
            "helpers": list(map(asdict, helpers_of(kernels))),
        }
        write_json({"seconds": seconds, **measured}, json_file)
    if json_file != STDOUT:
        if kernels:
            _show(kernels)
        for name in dict.fromkeys(outcome.backend for outcome in outcomes if outcome.backend):
            show(_summary(name, [outcome for outcome in outcomes if outcome.backend == name]))


def _summary(name: str, outcomes: Sequence[Outcome]) -> str:
    """Say in one line what a backend has compiled."""
    measured = [outcome for outcome in outcomes if outcome.compiled is not None]
    if not measured and not any(outcome.error for outcome in outcomes):
        return f"{name}: does not measure compiling, {counted(len(outcomes), 'problem')} left out"
    kernels = [kernel for outcome in measured for kernel in outcome.kernels]
    seconds = sum(kernel.seconds for kernel in kernels)
    made = f"{counted(len(measured), 'problem')}, {counted(len(kernels), 'kernel')}"
    return f"{name}: {made}, {seconds:.1f} s of one core"


def _show(kernels: Sequence[KernelProfile]) -> None:
    """Print a table of kernels and a table of the helpers in them."""
    *rows, sums = rows_of(kernels)
    table = new_table(*headers_of(kernels), flexible={"Kernel": 12})
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*sums)
    helpers = new_table(*HELPER_HEADERS, flexible={"Helper": 12})
    for helper in helpers_of(kernels):
        helpers.add_row(*helper.cells)
    for each in (table, helpers):
        for column in each.columns[1:]:
            column.justify = "right"
    show(table, helpers, NOTE)


def _page(kernels: Sequence[KernelProfile], command: str) -> str:
    """Return both tables, the machine and the command as a page of Markdown."""
    machine = this_machine(versions())
    known = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    facts = [str(machine), known, f"{command}  ({datetime.datetime.now().astimezone().date()})"]
    lines = [
        "# Where the time of compiling goes",
        "",
        NOTE,
        "",
        "## Kernels",
        "",
        *markdown_table(headers_of(kernels), rows_of(kernels), left=1),
        "",
        "## Helpers",
        "",
        *markdown_table(HELPER_HEADERS, (helper.cells for helper in helpers_of(kernels)), left=1),
        "",
        "## Machine and command",
        "",
        *(f"- {escaped(fact)}" for fact in facts),
    ]
    return "\n".join(lines) + "\n"
