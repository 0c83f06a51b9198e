"""``--json [FILE]``, which is alike in every command."""

from __future__ import annotations

import json

import pytest

from convhub.bench.results import Report, Settings
from convhub.system.machine import this_machine
from convhub.versioned_json import write_json

PROBLEM = "forward_float32_n1c3h8w8_k4r3s3"

#: Each command that has it, as short as it can be; and a word that is in its text for people.
COMMANDS = {
    "backends": (["backends"], "Tried in this order"),
    "config": (["config"], "may be "),
    "doctor": (["doctor"], "Versions"),
    "cache": (["cache"], "No backend keeps compiled kernels"),
    "explain": (["explain", PROBLEM, "--backend", "toy"], "would run on toy"),
    "verify": (["verify", PROBLEM, "--backend", "toy"], "passed"),
    "bench": (["bench", "--from", "bench.json"], "convhub against torch"),
}


@pytest.fixture(autouse=True)
def _soon_done(toy, monkeypatch, tmp_path):
    """Leave only the toy backend, and have a report of a benchmark."""
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub")
    report = Report(this_machine({}), "convhub bench", "2026-01-01", Settings(), None)
    write_json(report, tmp_path / "bench.json")


def test_every_command_that_shows_something_has_it(run):
    for command in [*COMMANDS, "conformance"]:
        assert "  --json [FILE] " in run(command, "--help").stdout


@pytest.mark.parametrize(("command", "word"), COMMANDS.values(), ids=COMMANDS)
def test_alone_or_with_a_dash_it_prints_json_and_nothing_else(run, command, word, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    alone = run(*command, "--json")
    for arguments in (["--json", "-"], ["--json=-"]):
        result = run(*command, *arguments)
        assert result.exit_code == alone.exit_code
        assert json.loads(result.stdout).keys() == json.loads(alone.stdout).keys()
    assert (
        json.loads(run(command[0], "--json", *command[1:]).stdout).keys() == json.loads(alone.stdout).keys()
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("command", "word"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("arguments", [["--json", "a.json"], ["--json=a"], ["--json", "./a"]])
def test_with_a_file_it_writes_there_and_shows_the_rest_as_ever(run, command, word, arguments, tmp_path):
    result = run(*command, *arguments)
    shown = run(*command)
    assert result.exit_code == shown.exit_code
    assert word in shown.stdout
    assert result.stdout.splitlines()[:2] == shown.stdout.splitlines()[:2]
    (name,) = [argument.removeprefix("--json=") for argument in arguments if argument != "--json"]
    written = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    assert written.keys() == json.loads(run(*command, "--json").stdout).keys()


@pytest.mark.parametrize(("command", "word"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("no/where.json", "--json is 'no/where.json', whose folder does not exist"),
        (".", "--json is '.', which is a folder; it must be a file"),
        ("bench.json/a", "--json is 'bench.json/a', whose folder does not exist"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_first(run, command, word, file, words):
    result = run(*command, "--json", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {words}\n"


def test_what_follows_a_double_dash_is_left_alone(run):
    assert "Error: problem '--json' " in run("explain", "--", "--json").stderr
