"""What is common to all commands: help, version, errors, pipes, and what starting costs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

PROBLEM = "forward_float32_n1c3h8w8_k4r3s3"
COMMANDS = ("backends", "explain", "verify", "conformance", "config", "doctor", "demo")


def test_no_command_prints_the_help(run):
    result = run()
    assert result.exit_code == 0
    assert result.stdout == run("--help").stdout == run("-h").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_whose_first_line_is_whole_in_the_list(run, command):
    first = run(command, "--help").stdout.splitlines()[2].strip()
    assert first.endswith(".")
    assert any(line.split(maxsplit=1) == [command, first] for line in run().stdout.splitlines())


def test_version(program):
    done = program("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"convhub {importlib.metadata.version('convhub')}\n"


def test_usage_errors_exit_with_2_and_leave_stdout_empty(run):
    for arguments in (["frobnicate"], ["explain"], ["explain", PROBLEM, "--nonsense"], ["backends", "extra"]):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Error: " in result.stderr


@pytest.mark.parametrize("command", [["backends"], ["config"], ["explain", PROBLEM], ["verify", PROBLEM]])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_wrong_setting_is_one_line_on_stderr(program, command, more):
    done = program(*command, *more, CONVHUB_ACCURACY="strct")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'Error: environment CONVHUB_ACCURACY: accuracy is \'strct\'; it must be "standard" or "strict". '
        "Did you mean 'strict'?\n"
    )


def test_a_pipe_gets_no_colours_and_whole_lines(run, absent, only_by_hand):
    for arguments in (["backends"], ["doctor"], ["explain", PROBLEM]):
        output = run(*arguments).stdout
        assert "\x1b" not in output
        (line,) = [line for line in output.splitlines() if "a very long name" in line]
        assert absent in line
        assert all(line == line.rstrip() for line in output.splitlines())


def test_width_of_the_terminal_does_not_count_for_a_pipe(program):
    narrow = program("explain", PROBLEM, COLUMNS="40", TERM="xterm")
    assert narrow.stdout == program("explain", PROBLEM).stdout


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    for command in ("backends", "config", "config --json"):
        # Unbuffered, so that the second write meets the closed pipe.
        done = subprocess.run(
            f"'{sys.executable}' -u -m convhub.cli {command} | head -c 1",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert len(done.stdout) == 1
        assert done.stderr == ""


def test_any_character_can_be_printed_anywhere(program, tmp_path):
    (tmp_path / "convhub.toml").write_text('backend = "größe"\n', encoding="utf-8")
    done = program("config", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2  # there is none of that name
    assert 'backend = "gr\\xf6\\xdfe"' in done.stdout
    assert "backend is 'gr\\xf6\\xdfe'" in done.stderr


def test_a_terminal_gets_its_own_width(terminal):
    output, _ = terminal("-m", "convhub.cli", "config", stdout=True)
    lines = output.decode().splitlines()
    assert any("\x1b[" in line for line in lines)
    meaning = next(i for i, line in enumerate(lines) if line.startswith("    the backend that runs"))
    assert len(lines[meaning]) <= 60
    assert lines[meaning + 1].startswith("    ")


def test_explaining_imports_nothing_heavy(tmp_path):
    # Numba alone is imported: whether it can be is a backend's availability, which `explain` tells.
    code = (
        "import sys\n"
        "from convhub.cli.app import app\n"
        f"app(['explain', '{PROBLEM}', '--backend', 'naive'], standalone_mode=False)\n"
        "print('heavy:', *({'torch', 'cupy', 'matplotlib', 'hypothesis'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "heavy:"
