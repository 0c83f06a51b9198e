"""Runs a page of the documentation from its first block to its last, as a reader would.

- ``console``: each line after ``$`` is typed into one shell. The lines below it are its output; "…" stands
  for anything in a line, and alone for any lines. Without lines below, the output does not matter. In
  ``console fails`` the last command must fail.
- ``python``, ``toml``: written to the file that a comment in the first line names; Python without such a line
  is run.
- ``diff``: changes the file that its ``+++`` line names.
- ``text``: only to be read.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

END = "@@ended@@"


class Block(NamedTuple):
    """A fenced block of a page, and the number of its first line."""

    kind: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, which must all begin at the left edge."""
    parsed = [*re.finditer(r"^```(.+)\n((?:.*\n)*?)^```$", page, re.MULTILINE)]
    assert page.count("```") == 2 * len(parsed), "a block is indented, has no kind, or has no end"
    for found in parsed:
        yield Block(found[1], found[2], page.count("\n", 0, found.start(2)) + 1)


def run_page(page: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run all blocks of a page in a folder; an AssertionError names the line of a block that is wrong."""
    shell = Shell(folder, variables)
    try:
        for block in blocks(page):
            if block.kind in ("console", "console fails"):
                _type(block, shell)
            elif block.kind == "diff":
                _change(block, shell.folder())
            elif block.kind in ("python", "toml"):
                _write_or_run(block, shell)
            else:
                assert block.kind == "text", f"line {block.line}: a block is {block.kind!r}"
    finally:
        shell.close()


class Shell:
    """One shell, which keeps its folder and variables from a command to the next."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, command: str) -> tuple[str, int]:
        """Return what a command printed, without blanks at the ends of lines, and its exit code."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        # In braces it runs in this shell itself, with another input.
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {END} $?\n")
        stdin.flush()
        lines = []
        for line in stdout:
            if line.startswith(END):
                break
            lines.append(line.rstrip())
        else:
            raise AssertionError(f"the shell ended at {command!r}: {lines}")
        return "\n".join(lines).strip("\n"), int(line.split()[1])

    def folder(self) -> Path:
        """Return the folder that the shell is in."""
        return Path(self.run("pwd")[0])

    def close(self) -> None:
        """End the shell."""
        self._process.communicate()


def _type(block: Block, shell: Shell) -> None:
    """Type the commands of a block, and check their output."""
    commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    for number, part in enumerate(commands, 1):
        command, _, expected = part.partition("\n")
        printed, status = shell.run(command)
        fails = block.kind == "console fails" and number == len(commands)
        shown = f"line {block.line}: $ {command}\nended with {status}, and printed:\n{printed}"
        assert (status != 0) == fails, shown
        expected = expected.strip("\n")
        as_it_says = not expected or _pattern(expected).fullmatch(f"{printed}\n")
        assert as_it_says, f"{shown}\nbut not:\n{expected}"


def _pattern(expected: str) -> re.Pattern[str]:
    lines = (
        "(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
        for line in expected.splitlines()
    )
    return re.compile("".join(lines))


def _change(block: Block, folder: Path) -> None:
    """Change a file by a diff, whose lines must be found in exactly one place."""
    head, *body = block.text.splitlines(keepends=True)
    assert head.startswith("+++ "), f"line {block.line}: the first line must be '+++ file'"
    path = folder / head.removeprefix("+++ ").strip()
    before = "".join(text[1:] for text in body if text[0] in " -")
    after = "".join(text[1:] for text in body if text[0] in " +")
    source = path.read_text(encoding="utf-8")
    found = source.count(before)
    assert found == 1, f"line {block.line}: {path.name} has this {found} times:\n{before}"
    path.write_text(source.replace(before, after), encoding="utf-8")


def _write_or_run(block: Block, shell: Shell) -> None:
    named = re.match(r"# (\S+\.\w+)\n", block.text)
    assert named or block.kind == "python", (
        f"line {block.line}: a first line '# file.toml' must name the file"
    )
    path = shell.folder() / (named[1] if named else f"line_{block.line}.py")
    path.write_text(block.text, encoding="utf-8")
    if not named:
        printed, status = shell.run(f"python {path.name}")
        assert status == 0, f"line {block.line}: {printed}"
        path.unlink()
