"""Gathers the findings of the suite's tests, from one process or several, into one report."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..subjects import Subject
    from .findings import Report
    from .rows import Done
    from .stale_xfails import Promise
    from .xfails import Xfails

__all__ = ["ATTRIBUTE", "Gatherer"]

#: The attribute of a test's report that holds its findings, as plain data that pytest-xdist can send.
ATTRIBUTE = "convhub_done"


class Gatherer:
    """A pytest plugin that lives for one run.

    Attributes
    ----------
    used : list of (list of Subject, Xfails)
        The expected failures of the tests that this process collected, and the backends they apply to.
    started : float
        When the run began, by `time.monotonic`.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.used: list[tuple[list[Subject], Xfails]] = []
        self._config = config
        self.started = time.monotonic()
        self._done: list[Done] = []
        self._promises: list[Promise] = []
        self._partial = any("::" in argument for argument in config.args)
        self._errors: list[str] = []
        self._report: Report | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this is a worker process of pytest-xdist."""
        return hasattr(self._config, "workerinput")

    def pytest_deselected(self) -> None:
        """Note that the run is incomplete, so that it breaks no promise."""
        self._partial = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's findings, whichever process ran it."""
        found = getattr(report, ATTRIBUTE, None)
        if found is not None:
            import msgspec

            from .rows import Done

            self._done.append(msgspec.convert(found, Done))
            self._write(found)
        shown = found is not None and any(row["outcome"] in ("failed", "xpassed") for row in found["rows"])
        # A failure that no finding shows: a test that raised before it had any, in setup or teardown, or
        # pytest-xdist's own report of a process that died. The tests of others, in one run, are not judged.
        if report.when not in ("setup", "call", "teardown") or (
            report.failed and hasattr(report, ATTRIBUTE) and not shown
        ):
            self._errors.append(f"{report.nodeid}: {report.longreprtext}")

    def _write(self, found: dict[str, Any]) -> None:
        """Write a test's findings at once, since the process may not come to the report."""
        path = self._config.getoption("convhub_findings")
        if path is not None and not self.is_worker:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the expected failures from a worker process, which collected the tests."""
        sent = (getattr(node, "workeroutput", None) or {}).get(ATTRIBUTE)
        if sent is not None:  # a process that died sends nothing
            import msgspec

            from .stale_xfails import Promise

            self._promises = msgspec.convert(sent["promises"], list[Promise])
            self._partial |= sent["partial"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the report; a failure that belongs to no test fails the run."""
        if self.used:
            from .stale_xfails import promises_of

            self._promises = [p for subjects, xfails in self.used for p in promises_of(subjects, xfails)]
        if self.is_worker:
            import msgspec

            sent = {"promises": msgspec.to_builtins(self._promises), "partial": self._partial}
            self._config.workeroutput[ATTRIBUTE] = sent  # type: ignore[attr-defined]
            return
        path = self._config.getoption("convhub_report")
        if not self._done and path is None:
            return
        from ...versioned_json import write_json
        from .findings import build_report
        from .stale_xfails import about_nothing, unkept

        whole = not (self._partial or session.shouldfail or session.shouldstop)
        broken = list(unkept(self._promises, self._done)) if whole else []
        self._errors += [
            f"{name} is about nothing that is checked" for name in about_nothing(self._promises, self._done)
        ]
        self._report = build_report([*self._done, *broken], self._errors, time.monotonic() - self.started)
        if (self._errors or broken) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if path is not None:
            write_json(self._report, path)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print for each backend what passed, failed, and was skipped and why, and the worst errors."""
        if self._report is None or not self._report.tested:
            return
        from .lines import not_loaded, report_lines

        terminalreporter.section("convhub conformance")
        for text, good in report_lines(self._report):
            terminalreporter.write_line(text, red=good is False, green=good is True)
        if not self._config.getoption("convhub_backend"):
            for text in not_loaded():
                terminalreporter.write_line(text, yellow=True)
