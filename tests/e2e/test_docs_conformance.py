"""What docs/conformance.md says: each command runs, each check stands in its table, each option exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from support import third_party
from support.third_party import NAN_LOST, NARROW

from convhub.cli.app import app
from convhub.conformance.suite import NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
#: What a command must say; it loses NaN in padding, as the page's example does.
SAYS = {
    "convhub conformance mine --level quick": (1, "FAILED nonfinite: nan in input: the result at "),
    "--json earlier.json": (0, " failed as expected, "),
    "--compare earlier.json": (0, "\nnothing changed\n"),
    "--exitfirst": (0, "numpy: "),
    "pytest tests": (0, " passed"),
}

#: Options on the page that are no command's of its own: of pytest, of ``convhub verify``, of pip.
OF_OTHERS = ("--pyargs", "--backend", "--find-links")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Install the page's backend, and write the files that the page shows."""
    folder = third_party.install(tmp_path_factory.mktemp("page"), "mine", NARROW, NAN_LOST)
    for language in ("toml", "python"):
        for name, text in re.findall(rf"```{language}\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_commands_do_what_the_page_says(folder):
    said = dict(SAYS)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "pip":
            assert arguments == ["install", "convhub[conformance]"]
            continue
        module = {"convhub": "convhub.cli", "pytest": "pytest"}[program]
        found = next(key for key in reversed(said) if key in command)
        code, words = said.pop(found)
        done = third_party.run(folder, module, *arguments)
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        assert words in done.stdout
    assert said == {}
    assert (folder / "junit.xml").exists()


def test_the_table_has_every_check():
    table = PAGE.partition("| check | what it requires |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE) == list(NAMES)


def test_the_options_of_the_page_exist():
    command = typer.main.get_command(app).commands["conformance"]
    known = {option for parameter in command.params for option in parameter.opts}
    plugin = (Path(__file__).parents[2] / "convhub" / "conformance" / "plugin.py").read_text()
    for option in set(re.findall(r"--[a-z][a-z-]+", PAGE)):
        assert option in known or f'"{option}"' in plugin or option in OF_OTHERS, option
    assert {option for option in known if option.startswith("--")} <= set(re.findall(r"--[a-z][a-z-]+", PAGE))
