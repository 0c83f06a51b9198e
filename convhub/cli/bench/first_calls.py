"""Times and prints what the first call of a new process costs, for ``convhub bench --start``."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text

from ...bench.start import TINY, Start, measure_start
from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...problem import Problem
from ...versioned_json import as_json
from ..json_output import STDOUT, write_text
from ..output import show

__all__ = ["time_first_calls"]


def time_first_calls(backend: str | None, problems: Sequence[str], json_file: str | None) -> None:
    """Measure and print what first calls of a backend cost, on one problem or a tiny one."""
    if len(problems) > 1:
        raise typer.BadParameter("--start times one PROBLEM at most, and no layers")
    if backend is not None:
        check_name(backend, "--backend", current_dispatcher())
    found = measure_start(backend, str(Problem.parse(problems[0])) if problems else TINY)
    if json_file is not None:
        write_text(as_json(found), json_file)
    if json_file != STDOUT:
        _show(found)


def _show(found: Start) -> None:
    """Print the times of a backend's start, a line for each."""
    libraries = ", ".join(found.modules) or "none"
    lines = [
        ("first call, nothing compiled", f"{found.cold:.2f} s", "with the libraries that it imports"),
        ("first call, later process", f"{found.warm:.2f} s", "with the libraries that it imports"),
        ("the same, libraries imported", f"{found.bare:.2f} s", ""),
        ("import of these libraries", f"{found.libraries:.2f} s", libraries),
        ("import convhub", f"{found.convhub:.2f} s", f"beside {found.numpy:.2f} s of NumPy"),
        ("tiny call", f"{found.tiny * 1e6:.1f} µs", "conv2d of 1x1x4x4 with 1x1x3x3"),
    ]
    algorithm = f", {found.algorithm}" if found.algorithm else ""
    show(Text.assemble((found.problem, "bold"), f"   {found.backend}{algorithm}"))
    for what, time, note in lines:
        show(Text.assemble(f"  {what:<30}{time:>10}   ", (note, "dim")))
