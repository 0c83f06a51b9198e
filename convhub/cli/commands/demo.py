"""Implements ``convhub demo``, which runs layers, a photograph and a network on every available backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output import new_console, print_error

__all__ = ["demo"]

EXTRA = "convhub[demo]"


def demo(
    output: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="The folder for pictures, which is created.")
    ] = Path("demo-output"),
) -> None:
    """Run random layers, a photograph and a network, with pictures.

    It takes a minute or two, and needs the extra convhub[demo].
    """
    try:
        from ...demo import run

        run(output, new_console())
    except ModuleNotFoundError as error:
        if (error.name or "convhub").partition(".")[0] == "convhub":
            raise  # a defect of convhub, whose report needs the traceback
        print_error(error if EXTRA in str(error) else f"the demo needs {error.name}: pip install '{EXTRA}'")
        raise typer.Exit(2) from error
