"""Implements ``convhub conformance``, which runs the suite on one backend and writes and compares reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...errors import ArgumentError
from ..choices import LevelChoice
from ..json_output import STDOUT, JsonOption, check_writable, write_text
from ..needs import need
from ..output import print_error

if TYPE_CHECKING:
    from ...conformance.report.findings import Report

__all__ = ["conformance"]

EXTRA = "convhub[conformance]"

File = Path | None


def conformance(
    backend: Annotated[str, typer.Argument(metavar="NAME", help="The backend to check.")],
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
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of all random data.")] = 0,
    compare: Annotated[
        File,
        typer.Option(metavar="EARLIER.json", help="Print the changes since this report of --json."),
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Run N tests at once; needs pytest-xdist.")
    ] = 1,
) -> None:
    """Run the conformance suite on one backend.

    Every promise of convhub.backend is checked, on problems of every kind. No other backend may compute
    instead: fallback is off. Exit code 1 if a check fails, if one passes that was expected to fail, or if
    nothing could be checked.
    """
    for module in ("pytest", "hypothesis"):
        need(module, "the suite", EXTRA)
    if processes > 1:
        need("xdist", "--processes", "pytest-xdist")
    check_name(backend, "NAME", current_dispatcher())
    if backend == "auto":
        raise ArgumentError("NAME is 'auto'; it must be the name of one backend")
    from ...conformance.report.compare import compare as compare_reports
    from ...conformance.report.findings import read_report
    from ...conformance.report.xfails import read_xfails
    from ...conformance.suite import NAMES
    from ...versioned_json import as_json
    from ..conformance_report import show_comparison, show_report
    from ..conformance_run import run_suite

    # Errors are reported now, not after minutes.
    if junit is not None:
        check_writable("--junit", junit)
    if xfails is not None:
        read_xfails(xfails, NAMES)
    earlier = None if compare is None else read_report(compare)
    if earlier is not None and backend not in {tested.backend for tested in earlier.tested}:
        names = ", ".join(dict.fromkeys(tested.backend for tested in earlier.tested)) or "nothing"
        raise ArgumentError(f"--compare is {str(compare)!r}, a report of {names}; it must be of {backend}")

    arguments = ["--convhub-backend", backend, "--convhub-level", level.value, "--convhub-seed", str(seed)]
    for option, file in (("--convhub-xfails", xfails), ("--junitxml", junit)):
        if file is not None:
            arguments += [option, str(file.absolute())]
    report = run_suite(arguments, processes)
    if json_file is not None:
        write_text(as_json(report), json_file)
    if json_file != STDOUT:
        show_report(report)
    newly = False
    if earlier is not None:
        newly = bool(compare_reports(earlier, report).failing)
        if json_file != STDOUT:
            show_comparison(earlier, report)
    if newly or _is_wrong(report, backend):
        raise typer.Exit(1)


def _is_wrong(report: Report, backend: str) -> bool:
    """Return whether a check failed, or nothing was checked, which is printed as an error."""
    if not any(tested.checked for tested in report.tested):
        print_error(f"nothing was checked on {backend}")
        return True
    return report.failed
