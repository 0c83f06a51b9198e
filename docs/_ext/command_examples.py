"""Defines the directive ``example``, which runs commands when the page is built and shows their output.

Each line is a command as a user types it, ``convhub`` or ``python``, with environment variables before it
and, if only some lines matter, ``| grep WORD`` after it. All run in an empty folder, without configuration.
Each command must end with exit code 0, or with that of the option ``ends``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: The width of a code block beside the table of contents.
WIDTH = 84


class CommandError(Exception):
    """A command ended with the wrong exit code; the message has its output."""


class Command(NamedTuple):
    """A parsed line."""

    variables: dict[str, str]
    words: list[str]
    only: str | None  # show only lines with this word

    @classmethod
    def parse(cls, line: str) -> Command:
        """Parse a line like a shell."""
        variables, words = {}, shlex.split(line)
        while words and "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words[-3:-1] == ["|", "grep"]:
            return cls(variables, words[:-3], words[-1])
        return cls(variables, words, None)


class Example(SphinxDirective):
    """A block of commands with their output."""

    has_content = True
    option_spec: ClassVar = {"ends": directives.nonnegative_int}

    def run(self) -> list[nodes.Node]:
        """Run the commands, and return the block."""
        try:
            ends = self.options.get("ends", 0)
            text = "\n".join(f"$ {line}\n{output(line, ends)}" for line in self.content)
        except CommandError as error:
            raise self.error(str(error)) from error
        return [nodes.literal_block(text, text, language="console")]


def output(line: str, ends: int = 0) -> str:
    """Return the output of a command, standard error included.

    Raises
    ------
    CommandError
        If it ends with another exit code than `ends`.
    """
    command = Command.parse(line)
    program, *arguments = command.words
    words = {"convhub": [sys.executable, "-m", "convhub"], "python": [sys.executable]}[program]
    with tempfile.TemporaryDirectory() as folder:
        # Some outputs contain the name of the folder, which should be short.
        here = Path(folder, "project")
        here.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVHUB_")}
        done = subprocess.run(
            [*words, *arguments],
            cwd=here,
            env=kept
            | {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
            | {name: f"{folder}/{name[4:7].lower()}" for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
            | command.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    printed = done.stdout.replace(folder, "…").replace(sys.executable, ".venv/bin/python")
    if done.returncode != ends:
        raise CommandError(f"{line!r} ended with {done.returncode}, not {ends}:\n{printed}")
    lines = printed.splitlines()
    if command.only is not None:
        lines = [one for one in lines if command.only in one]
    return "\n".join(one.rstrip() for one in lines).strip("\n") + "\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
