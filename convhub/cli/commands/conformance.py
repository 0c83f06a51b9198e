"""Implements ``convhub conformance``, which runs the suite on one backend and writes and compares reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...errors import ArgumentError
from ..choices import LevelChoice
from ..json_output import STDOUT, JsonOption, check_writable, write_text
from ..needs import need

if TYPE_CHECKING:
    from ...conformance.report.findings import Report

__all__ = ["conformance"]

EXTRA = "convhub[conformance]"
#: The seconds that a run may take beyond its limit, which its own process keeps.
GRACE = 60.0

File = Path | None


def conformance(
    backends: Annotated[list[str], typer.Argument(metavar="NAME...", help="The backends to check.")],
    xfails: Annotated[
        File,
        typer.Option(metavar="FILE.toml", help="Known failures; one that passes is an error."),
    ] = None,
    json_file: JsonOption = None,
    junit: Annotated[
        File, typer.Option(metavar="FILE", help="Write JUnit XML, for CI systems, to this file.")
    ] = None,
    level: Annotated[
        LevelChoice, typer.Option(help="Run everything, or the part that finds most faults in a minute.")
    ] = LevelChoice.full,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="Run this check only; may be repeated.")
    ] = None,
    problem: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROBLEM", help="Check this problem only, or a pattern such as 'grad_*'; may be repeated."
        ),
    ] = None,
    exitfirst: Annotated[bool, typer.Option("--exitfirst", "-x", help="Stop at the first failure.")] = False,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of all random data.")] = 0,
    badge: Annotated[
        File,
        typer.Option(metavar="FILE.svg", help="Write a badge to this file, and its JSON beside it."),
    ] = None,
    compare: Annotated[
        File,
        typer.Option(metavar="EARLIER.json", help="Print the changes since this report of --json."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds a test may take.  [default: 600, at level full 1800]"),
    ] = None,
    total_timeout: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds the run may take.  [default: 7200, at level full 43200]"),
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Run N tests at once; needs pytest-xdist.")
    ] = 1,
) -> None:
    """Run the conformance suite on one backend, or several.

    Every promise of convhub.backend is checked, on problems of every kind. No other backend may compute
    instead: fallback is off. Exit code 1 if a check fails, if one passes that was expected to fail, or if
    nothing could be checked.
    """
    for module in ("pytest", "hypothesis"):
        need(module, "the suite", EXTRA)
    if processes > 1:
        need("xdist", "--processes", "pytest-xdist")
    backends = list(dict.fromkeys(backends))
    for backend in backends:
        check_name(backend, "NAME", current_dispatcher())
        if backend == "auto":
            raise ArgumentError("NAME is 'auto'; it must be the name of a backend")
    if badge is not None and len(backends) > 1:
        raise ArgumentError(f"--badge is {str(badge)!r}, for {len(backends)} backends; a badge is of one")
    from ...conformance.report.badge import badge_of, write_badge
    from ...conformance.report.compare import compare as compare_reports
    from ...conformance.report.findings import read_report
    from ...conformance.report.junit import add_errors
    from ...conformance.report.xfails import read_xfails
    from ...conformance.selection import selection_of
    from ...conformance.suite import NAMES
    from ...conformance.time_limits import DEFAULTS, Limits, refusal
    from ...versioned_json import as_json
    from ..conformance_report import show_comparison, show_report
    from ..conformance_run import run_suite

    # Errors are reported now, not after minutes.
    for option, seconds in (("--timeout", timeout), ("--total-timeout", total_timeout)):
        wrong = None if seconds is None else refusal(seconds)
        if wrong is not None:
            raise ArgumentError(f"{option} is {wrong}")
    for option, file in (("--junit", junit), ("--badge", badge)):
        if file is not None:
            check_writable(option, file)
    if badge is not None and badge.suffix != ".svg":
        raise ArgumentError(f"--badge is {str(badge)!r}; it must end in .svg, and the JSON will in .json")
    selection_of(only or (), problem or ())
    if xfails is not None:
        read_xfails(xfails, NAMES)
    earlier = None if compare is None else read_report(compare)
    if earlier is not None and not {*backends} <= {tested.backend for tested in earlier.tested}:
        names = ", ".join(dict.fromkeys(tested.backend for tested in earlier.tested)) or "nothing"
        wanted = ", ".join(backends)
        raise ArgumentError(f"--compare is {str(compare)!r}, a report of {names}; it must be of {wanted}")

    arguments = ["--convhub-level", level.value, "--convhub-seed", str(seed)]
    for option, values in (("backend", backends), ("only", only), ("problem", problem)):
        for value in values or ():
            arguments += [f"--convhub-{option}", value]
    if exitfirst:
        arguments.append("--exitfirst")
    for option, file in (("--convhub-xfails", xfails), ("--junitxml", junit)):
        if file is not None:
            arguments += [option, str(file.absolute())]
    limits = DEFAULTS[level.value]
    limits = Limits(timeout or limits.test, total_timeout or limits.run)
    arguments += ["--convhub-timeout", str(limits.test), "--convhub-total-timeout", str(limits.run)]
    if junit is not None:
        junit.unlink(missing_ok=True)
    report = run_suite(arguments, processes, limits.run + GRACE)
    report = dataclasses.replace(report, errors=[*report.errors, *_unchecked(report, backends)])
    if junit is not None and report.errors:
        add_errors(junit, report.errors)
    if json_file is not None:
        write_text(as_json(report), json_file)
    if badge is not None:
        write_badge(badge_of(report, backends[0]), badge)
    if json_file != STDOUT:
        show_report(report)
    newly = False
    if earlier is not None:
        newly = bool(compare_reports(earlier, report).failing)
        if json_file != STDOUT:
            show_comparison(earlier, report)
    if newly or report.failed:
        raise typer.Exit(1)


def _unchecked(report: Report, backends: Sequence[str]) -> list[str]:
    """Return an error for each backend on which nothing was checked."""
    checked = {tested.backend for tested in report.tested if tested.checked}
    return [f"nothing was checked on {backend}" for backend in backends if backend not in checked]
