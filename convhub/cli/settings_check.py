"""Checks all settings before a command does anything."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from ..dispatch.dispatcher import current_dispatcher
from ..dispatch.names import wrong_settings
from ..errors import BackendContractError, ConfigurationError, PluginError
from .output import print_error

__all__ = ["settings_checked"]

Command = TypeVar("Command", bound=Callable[..., Any])

#: The commands that print their output before the errors: it has the right names, and the current settings.
SHOW_FIRST = ("backends", "config")
#: The command that reports wrong settings itself, among its findings.
REPORTS = "doctor"


def settings_checked(command: Command) -> Command:
    """Return a command that first checks the settings, and ends with exit code 2 if any is wrong.

    It then does nothing else, except that the commands in `SHOW_FIRST` print their output before.
    """
    name = command.__name__
    if name == REPORTS:
        return command

    @functools.wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if name not in SHOW_FIRST:
            _refuse_wrong_settings()
            return command(*args, **kwargs)
        command(*args, **kwargs)
        return _refuse_wrong_settings()

    return checked  # type: ignore[return-value]


def _refuse_wrong_settings() -> None:
    errors = _wrong()
    for error in errors:
        print_error(error)
    if errors:
        raise typer.Exit(2)


def _wrong() -> list[str]:
    """Return the errors in the settings; a broken plugin is not one of them."""
    try:
        dispatcher = current_dispatcher()
    except ConfigurationError as error:
        return str(error).splitlines()
    found = wrong_settings(dispatcher)
    return [str(error) for error in found if not isinstance(error, PluginError | BackendContractError)]
