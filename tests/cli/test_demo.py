"""`convhub demo`: that it is called rightly; what it shows is tested with it."""

from __future__ import annotations

import pathlib

import pytest
from rich.console import Console

import convhub.demo


@pytest.fixture
def called(monkeypatch):
    """Replace the demo by a list of the arguments that it was given."""
    calls = []
    monkeypatch.setattr(convhub.demo, "run", lambda *arguments: calls.append(arguments))
    return calls


def test_where_the_pictures_go(run, called):
    assert run("demo", "--output", "some/where").exit_code == 0
    assert run("demo").exit_code == 0
    (first, console), (second, _) = called
    assert first == pathlib.Path("some/where")
    assert second == pathlib.Path("demo-output")
    assert isinstance(console, Console)


def test_a_file_is_no_folder(run, called, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("demo", "--output", "file")
    assert (result.exit_code, called) == (2, [])
    assert "file" in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"),
        ModuleNotFoundError(
            "the demo needs matplotlib; pip install 'convhub[demo]' brings it", name="matplotlib"
        ),
    ],
)
def test_a_missing_package_is_one_line_with_the_extra(run, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(convhub.demo, "run", fail)
    result = run("demo")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: the demo needs matplotlib")
    assert "pip install 'convhub[demo]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_defect_of_our_own_is_not_called_a_missing_package(run, monkeypatch):
    def fail(*_):
        raise ModuleNotFoundError("No module named 'convhub.nothing'", name="convhub.nothing")

    monkeypatch.setattr(convhub.demo, "run", fail)
    with pytest.raises(ModuleNotFoundError, match="convhub.nothing"):
        run("demo")
