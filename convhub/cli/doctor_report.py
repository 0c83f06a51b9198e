"""Defines and prints the report of ``convhub doctor``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from ..config import Config
from ..dispatch.dispatcher import Dispatcher
from ..plugins import Origin, Registry
from .doctor_findings import Examined, Finding
from .narrow import grid_of_two
from .output import show
from .setting_values import as_toml, changed_settings

__all__ = ["Report", "show_report"]


class Report(NamedTuple):
    """Everything found; `dispatcher` is None if the configuration is wrong."""

    versions: dict[str, str]
    system: dict[str, str]
    database: str
    kernels: dict[str, str]
    dispatcher: Dispatcher | None
    examined: dict[str, Examined]
    findings: list[Finding]


def show_report(report: Report) -> None:
    """Print a report, with the findings at its end."""
    _section("Versions", report.versions.items())
    _section("System", report.system.items())
    if report.dispatcher is not None:
        config = report.dispatcher.config
        _section("Settings that are not the defaults", _settings(config))
        if config.notes:
            show(Text("Notes on configuration files", style="bold"), *config.notes, "")
        _section("Plugins", _plugins(report.dispatcher.registry))
        _section("Backends, each with a small problem", _backends(report.examined))
    if report.kernels:
        _section("Compiled kernels", report.kernels.items())
    _section("Tuning", [("database", report.database + _exists(report.database))])
    if not report.findings:
        show(Text("Nothing is wrong.", style="bold green"))
        return
    count = len(report.findings)
    show(Text("1 thing is wrong:" if count == 1 else f"{count} things are wrong:", style="bold red"))
    grid = grid_of_two()
    for number, (what, remedy) in enumerate(report.findings, 1):
        grid.add_row(f"{number}.", what)
        grid.add_row("", Text(f"What to do: {remedy}.", style="bold"))
    show(grid)


def _exists(database: str) -> str:
    path = Path(database)
    if not path.is_absolute():  # then it is a reason why there is no database
        return ""
    try:
        return "" if path.exists() else " (does not exist yet)"
    except OSError as error:
        return f" (cannot be looked for: {error.strerror})"


def _settings(config: Config) -> list[tuple[str, str]]:
    return [
        (key, f"{as_toml(row['value'])}, from {row['source']}")
        for key, row in changed_settings(config).items()
    ]


def _plugins(registry: Registry) -> list[tuple[str, str]]:
    failed = dict.fromkeys(failure.origin for failure in registry.failures)
    loaded = [origin for origin in registry.loaded if origin not in failed]
    return [_plugin(origin, "loaded") for origin in loaded] + [_plugin(origin, "failed") for origin in failed]


def _plugin(origin: Origin, outcome: str) -> tuple[str, str]:
    return origin.plugin, f"{origin.distribution} {origin.version}".rstrip() + f", {outcome}"


def _backends(examined: dict[str, Examined]) -> list[tuple[str, str]]:
    return [(name, _verdict(found)) for name, found in examined.items()]


def _verdict(found: Examined) -> str:
    if found.not_run is not None:
        return found.not_run
    parts = []
    for outcome in ("right", "wrong", "not run"):
        checks = [check for check in found.checks if check.outcome == outcome]
        if checks:
            names = ", ".join(f"{check.problem.primitive} on {check.problem.device}" for check in checks)
            why = f" ({checks[0].detail})" if outcome == "not run" else ""
            parts.append(f"{outcome.upper() if outcome == 'wrong' else outcome}: {names}{why}")
    return "; ".join(parts)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> None:
    grid = grid_of_two()
    for name, value in rows:
        grid.add_row(f"  {name}", value)
    if not grid.row_count:
        grid.add_row("  none")
    show(Text(title, style="bold"), grid, "")
