"""Implements ``convhub explain``, which shows the backend that would run a problem, and why no other."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...explanation import Part, outcome_of, what_each_says
from ...explanation import explain as explanation_of
from ..failures import failure_row, show_failures
from ..json_output import STDOUT, JsonOption, write_json
from ..output import new_table, show

__all__ = ["ProblemArgument", "explain"]

ProblemArgument = typer.Argument(
    metavar="PROBLEM", help="A problem, such as 'forward_float32_n1c3h32w32_k8r3s3_pad1x1'."
)


def explain(
    problem: Annotated[str, ProblemArgument],
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="As if the call named this backend.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Show which backend would run PROBLEM, and why no other one.

    Nothing is computed or measured. Exit code 1 if it would be refused.
    """
    if backend is not None:
        check_name(backend, "--backend", current_dispatcher())
    explanation = explanation_of(problem, backend=backend)
    (part,) = explanation.parts
    if json_file is not None:
        failures = [failure_row(failure) for failure in explanation.failures]
        write_json(_row(part) | {"failures": failures}, json_file)
    if json_file != STDOUT:
        _show(part)
        show_failures(explanation.failures)
    if part.refusal:
        raise typer.Exit(1)


def _row(part: Part) -> dict[str, Any]:
    return {
        "problem": str(part.problem),
        "backend": part.backend or None,
        "algorithm": part.algorithm or None,
        "source": part.source or None,
        "refusal": part.refusal or None,
        "to_measure": list(part.to_measure),
        "verdicts": [
            {"name": name, "able": reason is None, "reason": reason} for name, reason in part.verdicts
        ],
    }


def _show(part: Part) -> None:
    show(Text(str(part.problem), style="bold"), outcome_of(part))
    table = new_table("Backend", "What it says", flexible={"What it says": 20})
    for name, said in what_each_says(part):
        table.add_row(Text(name, style="bold green" if name == part.backend else ""), said)
    show(table)
