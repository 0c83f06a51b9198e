"""Ends a command that needs a package which is not installed."""

from __future__ import annotations

import importlib.util

import typer

from .output import print_error

__all__ = ["need"]


def need(module: str, what: str, package: str) -> None:
    """End the command where a module cannot be found that `what` needs and `package` brings."""
    if importlib.util.find_spec(module) is None:
        print_error(f"{what} needs {module}: pip install '{package}'")
        raise typer.Exit(2)
