"""The suite's options, and the summary of what it found; loaded by `conftest` or by ``pytest -p``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .verify import Finding

__all__ = ["OPTION", "OPTIONS", "option_texts", "record"]

OPTION = "--convhub-backend"
OPTIONS = "--convhub-options"
#: The name under which a report carries what was found, as plain data, so that pytest-xdist can send it.
PROPERTY = "convhub findings"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which backends are checked, and under which options of their own."""
    group = parser.getgroup("convhub")
    group.addoption(
        OPTION,
        action="append",
        metavar="NAME",
        dest="convhub_backend",
        help="check this backend with convhub's conformance suite; may be repeated (default: every one)",
    )
    group.addoption(
        OPTIONS,
        action="append",
        metavar="NAME.KEY=VALUE",
        dest="convhub_options",
        help="check backend NAME once more under this option of its own; may be repeated",
    )
    parser.addini("convhub_options", f"what {OPTIONS} says where it is not given", type="linelist")


def option_texts(config: pytest.Config) -> dict[str, str]:
    """Return the options under which backends are checked once more: the backend's name by the text."""
    texts = config.getoption("convhub_options", None) or config.getini("convhub_options")
    named = {text.replace(" ", ""): text.partition(".")[0].strip() for text in texts}
    asked = config.getoption("convhub_backend", None)
    return {text: name for text, name in named.items() if not asked or name in asked}


def pytest_collection(session: pytest.Session) -> None:
    """Refuse backends that are not registered, and options that they do not have, before all else."""
    asked = dict.fromkeys(session.config.getoption("convhub_backend") or (), OPTION)
    texts = option_texts(session.config)
    asked |= dict.fromkeys(texts.values(), OPTIONS)
    if not asked:
        return
    # Imported here, since this plugin may be loaded in sessions that have nothing to do with convhub.
    from .. import config
    from ..candidates import current_registry, run_options, unknown
    from ..errors import ConfigurationError
    from .calls import settings

    registry = current_registry()
    for name, source in asked.items():
        if name not in registry.backends:
            raise pytest.UsageError(unknown(name, source, registry))
    for text, name in texts.items():
        try:
            with settings(options=text):
                run_options(registry.backends[name].backend, config.current())
        except ConfigurationError as error:
            raise pytest.UsageError(f"{OPTIONS} {text}: {error}") from error


def record(request: pytest.FixtureRequest, findings: Iterable[Finding]) -> None:
    """Attach findings to the report of the test that runs, for the summary at the end."""
    call = getattr(request.node, "callspec", None)
    subject = str(call.params["subject"]) if call is not None and "subject" in call.params else None
    rows = [
        [
            subject or f.backend,
            f.problem.primitive,
            f.problem.dtype,
            f.problem.device,
            f.check,
            f.outcome,
            f.ratio,
            f.detail,
        ]
        for f in findings
    ]
    request.node.user_properties.append((PROPERTY, rows))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print for each backend what passed, failed and was skipped and why, and the worst errors."""
    rows = list(_rows(terminalreporter))
    if not rows:
        return
    terminalreporter.section("convhub conformance")
    for backend in dict.fromkeys(row[0] for row in rows):
        _summarize(terminalreporter, backend, [row for row in rows if row[0] == backend])
    for line in _not_run(terminalreporter.config):
        terminalreporter.write_line(line, yellow=True)


def _rows(terminalreporter: pytest.TerminalReporter) -> Iterator[list[Any]]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, rows in report.user_properties:
                    if name == PROPERTY:
                        yield from rows


def _not_run(config: pytest.Config) -> Iterator[str]:
    """Say of each backend that is asked for and cannot run on this machine, why it cannot."""
    from .. import config as settings
    from ..candidates import availability, current_registry

    resolved = settings.current()
    registry = current_registry(resolved)
    names = config.getoption("convhub_backend", None)
    for name, registered in registry.backends.items():
        missing = availability(registered.backend, resolved)
        if missing is not None and name in (names or registry.backends):
            yield f"{name}: not run: {missing}"
    for failure in () if names else registry.failures:
        yield f"{failure.name}: not run: {failure.origin} could not be loaded: {failure.reason}"


def _summarize(terminalreporter: pytest.TerminalReporter, backend: str, rows: list[list[Any]]) -> None:
    outcomes = Counter(row[5] for row in rows)
    terminalreporter.write_line(
        f"{backend}: {outcomes['passed']} checks passed, {outcomes['failed']} failed, "
        f"{outcomes['skipped']} skipped",
        red=bool(outcomes["failed"]),
        green=not outcomes["failed"],
    )
    reasons = Counter(row[7] for row in rows if row[5] == "skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  skipped {count}: {reason}")
    failed = Counter(row[4] for row in rows if row[5] == "failed")
    for check, count in failed.most_common():
        terminalreporter.write_line(f"  failed {count}: {check}", red=True)
    worst: dict[tuple[str, str], float] = {}
    for _, primitive, dtype, _, _, _, ratio, _ in rows:
        if ratio is not None:
            known = worst.get((dtype, primitive), 0.0)
            worst[dtype, primitive] = max(known, math.inf if math.isnan(ratio) else ratio)
    if worst:
        primitives = list(dict.fromkeys(primitive for _, primitive in worst))
        terminalreporter.write_line(
            "  worst error, of its bound" + "".join(f"{primitive:>14}" for primitive in primitives)
        )
        for dtype in dict.fromkeys(dtype for dtype, _ in worst):
            values = (worst.get((dtype, primitive)) for primitive in primitives)
            cells = "".join(f"{'' if value is None else f'{value:.3g}':>14}" for value in values)
            terminalreporter.write_line(f"  {dtype:<26}{cells}")
