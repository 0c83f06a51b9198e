"""Implements ``convhub doctor``, which prints everything that a bug report needs, and what is wrong."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import typer

from ...dispatch.candidates import availability
from ...dispatch.dispatcher import Dispatcher, current_dispatcher
from ...dispatch.names import check_options
from ...dispatch.options import run_options
from ...dispatch.tuning_store import database_path
from ...errors import BackendContractError, BackendError, ConfigurationError
from ...plugins import RegisteredBackend
from ...system.cores import available_cores
from ...system.versions import versions
from ..doctor_findings import (
    Examined,
    Finding,
    answer_findings,
    computing_findings,
    plugin_findings,
    setting_findings,
)
from ..doctor_report import Report, show_report
from ..failures import failure_row
from ..json_output import STDOUT, JsonOption, write_json
from ..kernel_caches import kept_kernels
from ..setting_values import changed_settings
from ..small_check import check_backend

__all__ = ["doctor"]


def doctor(json_file: JsonOption = None) -> None:
    """Check this installation, and print what a bug report needs.

    Settings and plugins are examined, and each backend runs a small problem. Exit code 1 if something is
    wrong; the end of the report says what to do. A backend that is not available on this machine is not an
    error, unless the configuration names it.
    """
    report = _examine()
    if json_file is not None:
        write_json(_json(report), json_file)
    if json_file != STDOUT:
        show_report(report)
    if report.findings:
        raise typer.Exit(1)


def _examine() -> Report:
    try:
        dispatcher = current_dispatcher()
    except ConfigurationError as error:
        # Settings decide which plugins may be loaded, so none is loaded while settings are wrong.
        remedy = "fix that setting, then run `convhub doctor` again"
        wrong = [Finding(line, remedy) for line in str(error).splitlines()]
        return Report(versions(), _system(), _database(), {}, None, {}, wrong)
    registry = dispatcher.registry
    examined = {name: _examine_backend(entry, dispatcher) for name, entry in registry.backends.items()}
    findings = (
        *setting_findings(dispatcher),
        *plugin_findings(registry),
        *answer_findings(dispatcher),
        *computing_findings(examined),
    )
    # One wrong setting may be found once for each device.
    once = list(dict.fromkeys(findings))
    return Report(versions(), _system(), _database(), _kernels(dispatcher), dispatcher, examined, once)


def _examine_backend(registered: RegisteredBackend, dispatcher: Dispatcher) -> Examined:
    missing = availability(registered, dispatcher)
    if missing is not None:
        return Examined(registered, False, f"not available: {missing}", [])
    try:
        check_options(dispatcher)
    except ConfigurationError:  # it would refuse every call, and is already a finding
        return Examined(registered, True, "available, but settings are wrong", [])
    try:
        run_options(registered, dispatcher.config)
    except (ConfigurationError, BackendContractError):  # as above
        return Examined(registered, True, "available, but its options are wrong", [])
    checks = check_backend(registered, dispatcher)
    return Examined(registered, True, None if checks else "available, but takes no small problem", checks)


def _database() -> str:
    try:
        return str(database_path())
    except OSError as error:
        return f"none, so `tune` measures in each process: {error}"


def _kernels(dispatcher: Dispatcher) -> dict[str, str]:
    """Say in one line for each backend what it keeps, and where."""
    try:
        return {kept.name: kept.described for kept in kept_kernels(dispatcher)}
    except BackendError as error:
        return {"unknown": str(error)}


def _system() -> dict[str, str]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": f"{os.cpu_count()}, of which this process may use {available_cores()}",
    }


def _json(report: Report) -> dict[str, Any]:
    dispatcher = report.dispatcher
    config, registry = (dispatcher.config, dispatcher.registry) if dispatcher else (None, None)
    return {
        "versions": report.versions,
        "system": report.system,
        "tuning_database": report.database,
        "compiled_kernels": report.kernels,
        "settings": changed_settings(config) if config else None,
        "notes": list(config.notes) if config else None,
        "plugins": [origin._asdict() for origin in registry.loaded] if registry else None,
        "failures": [failure_row(failure) for failure in registry.failures] if registry else None,
        "backends": {name: _examined_row(found) for name, found in report.examined.items()},
        "troubles": [finding._asdict() for finding in report.findings],
        "ok": not report.findings,
    }


def _examined_row(found: Examined) -> dict[str, Any]:
    return {
        "available": found.available,
        "not_run": found.not_run,
        "checks": [
            {"problem": str(problem), "outcome": outcome, "detail": detail}
            for problem, outcome, detail in found.checks
        ],
    }
