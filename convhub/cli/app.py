"""Assembles the commands, and what they share: help, version, errors and exit codes."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import ConvhubError, did_you_mean
from ..system.versions import version_of
from .commands.backends import backends
from .commands.bench import bench
from .commands.cache import cache
from .commands.compile import compile as compile_ahead
from .commands.config import config
from .commands.conformance import conformance
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.explain import explain
from .commands.new_backend import new_backend
from .commands.verify import verify
from .json_output import CommandWithJson
from .output import FULL, drop_output, exit_code, print_error, print_warning, words_of
from .settings_check import settings_checked

__all__ = ["app", "main"]


#: The class of click, or of the copy of it that newer versions of typer include.
_UsageError: Any = typer.BadParameter.__base__


def _nearest(message: str, commands: Iterable[str]) -> str:
    """Return "Did you mean …?" for the parser's message, or nothing if no known word is near."""
    choice = re.search(r"'(.*)' is not one of (.*)\.", message)
    if choice is not None:
        return did_you_mean(choice[1], re.findall(r"'([^']*)'", choice[2]))
    command = re.fullmatch(r"No such command '(.*)'\.", message)
    return "" if command is None else did_you_mean(command[1], commands)


class _Commands(TyperGroup):
    """The commands, which end with a message, not a traceback, on errors that are not convhub's fault."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, or print help or the version, with all output written at its end."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            drop_output()
            print_error(words_of(error))
            sys.exit(2 if error.filename is not None and error.errno not in FULL else 1)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            error.message += _nearest(error.message, self.commands)
            raise
        except ConvhubError as error:
            print_error(error)
            raise typer.Exit(exit_code(error)) from error


app = typer.Typer(
    name="convhub",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,  # plain help and usage errors, since frames break text that users want to copy
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convhub {version_of('convhub') or '(not installed as a distribution)'}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _without_command(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version of convhub and exit."
        ),
    ] = False,
) -> None:
    """2-D convolution, transposed convolution and their gradients, on the engine of your choice.

    The commands show which engines (backends) are installed, which of them would run a given problem and why,
    and whether its result is right. A PROBLEM is a text such as
    'forward_float32_n1c3h32w32_k8r3s3_stride2x2_pad1x1': the primitive, the type, the sizes of input
    (n c h w) and weight (k r s), and the parameters that differ from their defaults.

    Exit code 0: success. 1: something is wrong with a backend, a plugin or this machine. 2: the command line
    or the configuration is wrong; each command checks all settings.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (
    backends, explain, verify, conformance, bench, compile_ahead, cache, config, doctor, demo, new_backend,
):  # fmt: skip
    app.command(cls=CommandWithJson)(settings_checked(command))


def main() -> None:
    """Run the command line; this is the program ``convhub``."""
    if sys.stderr is None:  # closed, as by `2>&-`
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end of the program
    if sys.stdout is None:
        print_error("standard output is closed")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # A plugin's reason may hold any character; it must not become a UnicodeEncodeError here.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = print_warning
    app(prog_name="convhub")
