"""Implements ``convhub new-backend``, which writes a distribution with a backend to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..output import show, unbroken

__all__ = ["new_backend"]


def new_backend(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the backend, for its users.", show_default=False),
    ],
    directory: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Write the folder convhub-NAME there.  [default: here]", show_default=False
        ),
    ] = Path(),
) -> None:
    """Write a new distribution with a NumPy backend to start from.

    It passes its tests, and has one file of code, with the three primitives; tests that run the conformance
    suite; and all files needed to publish it.
    """
    from ...scaffold import write_distribution

    folder, *files = write_distribution(name, directory)
    show(f"Wrote {folder}:")
    for file in files:
        show(unbroken(f"  {file.relative_to(folder)}"))
    show("", "Next:")
    for command in (f"cd {shlex.quote(str(folder))}", "pip install --editable '.[test]'", "pytest"):
        show(unbroken(f"  {command}"))
