"""Shows plugins that could not be used, the same way in every command."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from ..plugins import Failure
from .output import show

__all__ = ["failure_row", "show_failures"]


def failure_row(failure: Failure) -> dict[str, str]:
    """Return a failure as a row of JSON."""
    return {
        "name": failure.name,
        "plugin": failure.origin.plugin,
        "distribution": failure.origin.distribution,
        "version": failure.origin.version,
        "reason": failure.reason,
    }


def show_failures(failures: Iterable[Failure]) -> None:
    """Print which plugins failed and why, if any did."""
    lines = [Text(f"{failure.origin}: {failure.reason}") for failure in failures]
    if lines:
        show(Text("Plugins that could not be used", style="bold"), *lines)
