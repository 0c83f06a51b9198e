"""Runs the suite in a separate process, independent of any pytest configuration of the user."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConvhubError
from ..system.python_command import python_command
from .progress import progress

if TYPE_CHECKING:
    from ..conformance.report.findings import Report

__all__ = ["SuiteError", "run_suite"]

#: Seconds between two checks of the suite's progress.
PERIOD = 0.1
#: The message of a test that took too long, before what each thread was doing.
LATE = re.compile(r"Timeout \(\d+:\d\d:\d\d(\.\d+)?\)!$")
#: How many lines of pytest's output are shown if it did not finish.
LINES = 30


class SuiteError(ConvhubError):
    """The suite did not finish, so it has no result."""


def run_suite(arguments: Sequence[str], processes: int, limit: float) -> Report:
    """Run the suite with these arguments of pytest, show its progress, and return its report.

    If the process does not come to the report, it is made of what was found until then, and of an error with
    the last lines that pytest printed.

    Parameters
    ----------
    limit : float
        The seconds after which the process is ended, which its own limits should have done before.

    Raises
    ------
    SuiteError
        If no test was started.
    """
    from ..conformance.report.findings import build_report, read_report
    from ..conformance.report.rows import read_findings

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="convhub-") as name:
        folder = Path(name)
        report, steps, log, findings = (folder / name for name in ("report.json", "steps", "log", "findings"))
        command = _pytest(processes)
        for option, file in (("report", report), ("progress", steps), ("findings", findings)):
            command += [f"--convhub-{option}", str(file)]
        with log.open("wb") as output:
            child = subprocess.Popen(
                [*command, *arguments],
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                running = _wait(child, steps, start + limit)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        if child.returncode in (0, 1) and report.exists():
            return _agreeing(read_report(report), child.returncode, log)
        why = _why(child.returncode, running, log)
        found = read_findings(findings)
        if not found and not running:
            raise SuiteError(why)
        return build_report(found, [why], time.monotonic() - start)


def _agreeing(report: Report, status: int, log: Path) -> Report:
    """Return a report that is failed wherever pytest's own exit status says that something failed."""
    if status == 0 or report.failed:
        return report
    lines = log.read_text(encoding="utf-8", errors="backslashreplace").rstrip().splitlines()
    last = lines[-1] if lines else "nothing"
    error = f"pytest ended with status {status}, though no finding failed; it printed last: {last}"
    return dataclasses.replace(report, errors=[*report.errors, error])


def _pytest(processes: int) -> list[str]:
    """Return the command that runs the suite, and no code of the caller's."""
    from .. import conformance

    folder = Path(conformance.__file__).parent
    command = python_command("-m", "pytest", str(folder))
    command += ["-c", str(folder / "suite.ini"), "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += ["-p", "convhub.conformance.plugin"]
    if processes > 1:
        command += ["-p", "xdist.plugin", "--numprocesses", str(processes), "--dist", "worksteal"]
    return command


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment without variables that change pytest, and with its other plugins disabled."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }


def _wait(child: subprocess.Popen[bytes], steps: Path, end: float) -> list[str]:
    """Show the suite's progress until it ends or is ended, and return the cases that were still running."""
    from ..conformance.report.progress import parse_step

    running: dict[str, None] = {}
    lines = _lines(child, steps, end)
    total = next((int(step.value) for step in map(parse_step, lines) if step.kind == "collected"), 0)
    with progress(total) as advance:
        for step in map(parse_step, lines):
            if step.kind == "start":
                running[step.value] = None
                advance(step.value.partition("[")[2].removesuffix("]"), 0)
            elif step.kind == "end":
                running.pop(step.value, None)
                advance(step.value.partition("[")[2].removesuffix("]"))
    child.wait()
    return list(running)


def _lines(child: subprocess.Popen[bytes], path: Path, end: float) -> Iterator[str]:
    """Yield the lines of a file that a process writes, until it has ended; end it when its time is up."""
    position, rest = 0, ""
    while True:
        ended = child.poll() is not None
        if path.exists():
            with path.open(encoding="utf-8") as file:
                file.seek(position)
                text = rest + file.read()
                position = file.tell()
            *whole, rest = text.split("\n")
            yield from whole
        if ended:
            return
        if time.monotonic() > end:
            child.kill()
        time.sleep(PERIOD)


def _why(status: int, running: Sequence[str], log: Path) -> str:
    """Return the message about a suite that did not finish."""
    ended = f"with status {status}"
    if status < 0:
        ended = f"by signal {signal.Signals(-status).name}"
    during = f" while it ran {', '.join(running)}" if running else ""
    lines = log.read_text(encoding="utf-8", errors="backslashreplace").rstrip().splitlines()
    # After a fatal error, Python prints first what it was doing; otherwise the last lines say most.
    fatal = next((i for i, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    # The line may begin with the marks of tests that have passed.
    late = next((i for i, line in enumerate(lines) if LATE.search(line)), None)
    if late is not None:
        fatal, ended = late, "since a test, or the run, took longer than its limit"
    shown = lines[-LINES:] if fatal is None else lines[fatal : fatal + LINES]
    printed = "\n".join(f"  {line}" for line in shown)
    return f"the suite's process ended {ended}{during}; it printed:\n{printed}"
