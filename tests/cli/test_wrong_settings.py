"""Every command checks every setting; doctor blames the setting, and no plugin."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
from support import toy_backend

import convhub

PROBLEM = "forward_float32_n1c3h8w8_k4r3s3"
COMMANDS = {
    "backends": [],
    "config": [],
    "explain": [PROBLEM, "--backend", "toy"],
    "verify": [PROBLEM, "--backend", "toy"],
    "conformance": ["toy"],
    "bench": ["--quick"],
    "demo": [],
    "new-backend": ["mine"],
}


@dataclasses.dataclass
class Own:
    tile: int = 4
    mode: Literal["auto", "always", "never"] = "auto"
    share: float = 0.5
    most: int | None = None
    on: bool = True


@pytest.fixture(autouse=True)
def typed(plugin, toy):
    """Register a backend with options of its own, and one without."""
    plugin("typed_plugin", dataclasses.replace(toy_backend.toy, name="typed", options=Own))


#: What is wrong in a file, its line, and what is said.
WRONG = {
    "backend = 'typd'": (1, "backend is 'typd' (from FILE:1); registered backends:", "Did you mean 'typed'?"),
    "backend = {cpu = 'toy', cuda = 'toi'}": (1, "backend is 'toi' (from FILE:1)", "Did you mean 'toy'?"),
    "[backend]\ncpu = 'toi'": (2, "backend is 'toi' (from FILE:2)", "Did you mean 'toy'?"),
    "priority = [\n  'toy',\n  'tpyed',\n]": (3, "backend is 'tpyed' (from FILE:3)", "Did you mean 'typed'?"),
    "[priority]\ncpu = ['toy']\ncuda = [\n'tyo']": (
        4,
        "backend is 'tyo' (from FILE:4)",
        "Did you mean 'toy'?",
    ),
    "disable_plugins = ['torch',\n'typed_plugni']": (
        2,
        "FILE:2: disable_plugins has 'typed_plugni', and there is neither a plugin nor a distribution",
        "Did you mean 'typed_plugin'?",
    ),
    "[options.tpyed]\ntile = 1": (
        1,
        "FILE:1: [options.tpyed] names no backend; registered backends:",
        "mean 'typed'?",
    ),
    "options.typed.tlie = 1": (
        1,
        "FILE:1: [options.typed] has 'tlie'; that backend has",
        "Did you mean 'tile'?",
    ),
    "[options]\ntyped = {tile = 1,\tmode = 'nevre'}": (
        2,
        'FILE:2: options.typed.mode is \'nevre\'; it must be "auto", "always" or "never".',
        "Did you mean 'never'?",
    ),
    "[options.typed]\n\nshare = 'half'": (
        3,
        "FILE:3: options.typed.share is 'half'; it must be a number",
        "",
    ),
    "[options.typed]\nmost = 'all'": (
        2,
        "FILE:2: options.typed.most is 'all'; it must be a whole number",
        "",
    ),
    "[options.typed]\non = 1": (2, "FILE:2: options.typed.on is 1; it must be true or false", ""),
    "[options.toy]\nx = 1": (2, "FILE:2: [options.toy] has 'x'; that backend has no options.", ""),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_in_a_file(run, tmp_path, text):
    file = tmp_path / "convhub.toml"
    file.write_text(text)
    result = run("config")
    (error,) = result.stderr.splitlines()
    line, start, near = WRONG[text]
    assert error.startswith(f"Error: {start.replace('FILE', str(file))}")
    assert error.rstrip().endswith(near)
    assert f"{file}:{line}" in error
    assert result.exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_checks_all_of_it(run, tmp_path, command):
    (tmp_path / "convhub.toml").write_text(
        "backend = {cuda = 'typd'}\npriority = ['toi']\ndisable_plugins = ['nubma']\n"
        "[options.typed]\nmode = 'nevr'\ntyle = 1\n[options.tyo]\n"
    )
    result = run(command, *COMMANDS[command])
    assert result.exit_code == 2
    assert bool(result.stdout) is (command in ("backends", "config"))
    assert [line.partition("convhub.toml:")[2][0] for line in result.stderr.splitlines()] == [*"123765"]
    assert not (tmp_path / "convhub-mine").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_whatever_is_wrong(run, tmp_path, command):
    (tmp_path / "convhub.toml").write_text("backend = 3")
    assert run(command, "--help").exit_code == 0
    assert run("--version").exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("ACCURACY", "strct"), ("BACKEND", "toi"), ("OPTIONS", "typed.mode=nevr"), ("BACKEDN", "x")],
)
def test_a_wrong_variable_is_exit_code_2(run, monkeypatch, command, name, value):
    monkeypatch.setenv(f"CONVHUB_{name}", value)
    result = run(command, *COMMANDS[command])
    assert result.exit_code == 2
    assert f"CONVHUB_{name}" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_argument_is_exit_code_2(run, command):
    result = run(command, *COMMANDS[command], "--nonsense")
    assert (result.exit_code, result.stdout) == (2, "")


def test_options_without_quotes(run, monkeypatch):
    monkeypatch.setenv("CONVHUB_OPTIONS", "typed.mode=never; typed.tile=8, typed.on=false typed.share=1")
    result = run("config")
    assert (result.exit_code, result.stderr) == (0, "")
    assert '{typed = {mode = "never", tile = 8, on = false, share = 1}}' in result.stdout


# --- settings that contradict each other --------------------------------------------------------------------


def test_a_backend_that_another_setting_disables(run, tmp_path):
    file = tmp_path / "convhub.toml"
    file.write_text(
        "threads = 1\nbackend = 'numpy'\ndisable_plugins = [\n'torch', 'numpy']\npriority = ['toy']"
    )
    assert run("config").stderr == (
        f"Error: backend 'numpy' (from {file}:2) is disabled by disable_plugins in {file}:4\n"
    )
    convhub.reload_settings()
    file.write_text("priority = ['naive']\ndisable_plugins = ['Convhub']")
    assert run("config").stderr == (
        f"Error: backend 'naive' (from {file}:1) is disabled by disable_plugins = [\"Convhub\"] in {file}:2\n"
    )


def test_a_backend_of_a_plugin_that_is_left_out(run, install, tmp_path):
    install("mine", "raise RuntimeError('not to be imported')", distribution="convhub-mine")
    file = tmp_path / "convhub.toml"
    file.write_text("plugins = false\nbackend = 'mine'")
    assert (
        run("config").stderr
        == f"Error: backend 'mine' (from {file}:2) is left out by plugins = false in {file}:1\n"
    )
    convhub.reload_settings()
    file.write_text("plugins = false\nbackend = 'other'")
    assert (
        run("config")
        .stderr.rstrip()
        .endswith(f"Not loaded: plugin 'mine' of convhub-mine 1.2, left out by plugins = false in {file}:1.")
    )


# --- doctor -------------------------------------------------------------------------------------------------


def test_doctor_blames_the_setting_and_no_plugin(run_json, only_by_hand, monkeypatch):
    monkeypatch.setenv("CONVHUB_OPTIONS", "tyoped.x=1")
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert code == 1
    assert trouble["what"].startswith("environment CONVHUB_OPTIONS: [options.tyoped] names no backend")
    assert {row["not_run"] for row in report["backends"].values()} == {"available, but settings are wrong"}


def test_doctor_notices_that_no_backend_is_left(run_json, monkeypatch):
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub,typed_plugin,toy")
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert code == 1
    assert trouble["what"].startswith('no backend is available here; disable_plugins = ["convhub"')
    assert "in environment CONVHUB_DISABLE_PLUGINS leaves out " in trouble["what"]
    assert "numba" in trouble["what"]


def test_doctor_notices_that_those_left_are_not_available(run_json, absent, monkeypatch):
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub,typed_plugin,toy")
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert code == 1
    assert trouble["what"].startswith("no backend is available here (registered: absent); disable_plugins")


def test_doctor_notices_an_order_of_which_none_can_run(run_json, absent, only_by_hand, tmp_path):
    file = tmp_path / "convhub.toml"
    file.write_text("priority = {cuda = ['toy'],\tcpu = ['absent']}")
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert code == 1
    assert trouble["what"] == (
        f"priority (from {file}:1) names no backend that can run on a CPU here: "
        f"absent is not available: {absent}"
    )


def test_doctor_tells_each_thing_that_is_wrong(run_json, tmp_path):
    (tmp_path / "convhub.toml").write_text("backend = 3\ntune = 'no'\n")
    report, code = run_json("doctor")
    assert code == 1
    assert [trouble["what"].partition(": ")[0][-1] for trouble in report["troubles"]] == ["1", "2"]


def test_doctor_has_a_note_of_files_that_are_passed_over(run, run_json, tmp_path, only_by_hand):
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    report, code = run_json("doctor")
    assert (code, len(report["notes"])) == (0, 1)
    assert "it has no [tool.convhub], and is passed over" in report["notes"][0]
    assert f"Notes on configuration files\n{report['notes'][0]}\n" in run("doctor").stdout
    assert f"Note: {report['notes'][0]}\n" in run("config").stdout


# --- a call asks for what concerns it -----------------------------------------------------------------------


def test_a_call_refuses_what_looks_like_a_misspelled_plugin(run, monkeypatch):
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "nubma")
    with pytest.raises(convhub.ConfigurationError, match="Did you mean 'numba'"):
        convhub.conv2d(x, w)
    assert convhub.conv2d(x, w, backend="naive")[0, 0, 0, 0] == 9
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "of-another-machine")
    assert convhub.conv2d(x, w)[0, 0, 0, 0] == 9
    assert run("config").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["confg"], "config"),
        (["bench", "--accuracy", "stric"], "strict"),
        (["conformance", "toy", "--level", "quik"], "quick"),
        (["explain", PROBLEM, "--backend", "tpyed"], "typed"),
        (["explain", f"grad_inptu_{PROBLEM[8:]}"], "grad_input"),
    ],
)
def test_wrong_words_on_the_command_line_suggest_the_nearest(run, arguments, meant):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.rstrip().endswith(f"Did you mean '{meant}'?")
