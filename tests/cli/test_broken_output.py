"""Output that cannot be written, and folders that cannot be used: an error in one line, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")


def shell(command, folder):
    """Run the program in a shell, for its redirections."""
    return subprocess.run(
        command.replace("convhub", f"'{sys.executable}' -m convhub.cli"),
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"CONVHUB_PLUGINS": "false", "CONVHUB_PRIORITY": "naive"},
    )


@needs_full
@pytest.mark.parametrize("arguments", ["--help", "config", "config --json", "explain n1c1h4w4_k1r3s3"])
def test_a_full_device(arguments, tmp_path):
    done = shell(f"convhub {arguments} > /dev/full", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: output cannot be written: No space left on device\n"


@needs_full
def test_json_for_a_full_device(run):
    result = run("config", "--json", "/dev/full")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: /dev/full: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="the shell is POSIX's")
@pytest.mark.parametrize("arguments", ["config", "--version"])
def test_a_closed_standard_output(arguments, tmp_path):
    done = shell(f"convhub {arguments} >&-", tmp_path)
    assert (done.returncode, done.stderr) == (1, "Error: standard output is closed\n")


@pytest.mark.skipif(os.name == "nt", reason="the shell is POSIX's")
def test_a_closed_standard_error_takes_nothing_away(tmp_path):
    done = shell("convhub config 2>&-", tmp_path)
    assert done.returncode == 0
    assert "may be true or false" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("new-backend mine --directory file", "directory is 'file'; it must be a folder that exists"),
        ("bench --against numpy --shapes folder", "shapes is 'folder', which cannot be read: "),
        ("bench --from folder", "from is 'folder', which cannot be read: "),
        ("bench --from deep.json", "from is 'deep.json'; it must be what `convhub bench --json` wrote: "),
        ("bench --plot folder", "--plot is 'folder', which is a folder; it must be a file"),
        ("bench --markdown no/a.md", "--markdown is 'no/a.md', whose folder does not exist"),
        ("conformance naive --xfails folder", "folder cannot be read: "),
        ("conformance naive --xfails deep.toml", "deep.toml is nested too deeply"),
        ("conformance naive --compare folder", "the report is 'folder', which cannot be read: "),
        ("conformance naive --compare deep.json", "the report is 'deep.json'; it must be what "),
        ("conformance naive --junit folder", "--junit is 'folder', which is a folder; it must be a file"),
    ],
)
def test_files_and_folders_that_cannot_be_used(run, arguments, words, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "deep.toml").write_text("xfail = " + "[" * 5000 + "]" * 5000)
    (tmp_path / "deep.json").write_text('{"schema": 1, "format": 1, "x": ' + "[" * 9000 + "]" * 9000 + "}")
    result = run(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {words}")
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_in_which_nothing_can_be_made(run, monkeypatch, tmp_path):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "convhub-mine"))

    monkeypatch.setattr(Path, "mkdir", refused)
    result = run("new-backend", "mine")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {tmp_path / 'convhub-mine'}: Permission denied\n"
