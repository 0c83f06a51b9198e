"""The command line in this process, in an empty folder, with the toy backend and others as plugins."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import struct
import subprocess
import sys
import tempfile
import types

import pytest
from support import toy_backend
from typer.testing import CliRunner

from convhub import plugins
from convhub.backend import hookimpl
from convhub.cli.app import app


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch, tmp_path):
    """Let no configuration file above the working directory count."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run():
    """Return the function that runs a command in this process; what is no clean exit raises."""

    # click before 8.2, which typer 0.15 comes with, puts stderr into stdout unless it is told not to.
    mixes = "mix_stderr" in inspect.signature(CliRunner.__init__).parameters
    runner = CliRunner(**({"mix_stderr": False} if mixes else {}))

    def run_(*arguments):
        result = runner.invoke(app, list(arguments), prog_name="convhub")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_


@pytest.fixture
def run_json(run):
    """Return the function that runs a command with --json, and gives what it printed, and its exit code."""

    def run_json_(*arguments):
        result = run(*arguments, "--json")
        return json.loads(result.stdout), result.exit_code

    return run_json_


@pytest.fixture
def program(tmp_path):
    """Return the function that runs the program in a process of its own, its output piped."""

    def program_(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "-m", "convhub.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | variables,
        )

    return program_


@pytest.fixture
def terminal(tmp_path):
    """Return the function that runs Python with stderr, or all output, on a terminal of 60 columns.

    It gives what went to stdout and to stderr; with ``stdout=True`` the terminal takes both, as the first.
    """
    pty = pytest.importorskip("pty", reason="pseudo-terminals are for POSIX systems")
    fcntl, termios = (pytest.importorskip(name) for name in ("fcntl", "termios"))

    def terminal_(*arguments, stdout=False):
        mine, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        hidden = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
        variables = {name: value for name, value in os.environ.items() if name not in hidden}
        with tempfile.TemporaryFile() as file:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=its if stdout else file,
                stderr=its,
                cwd=tmp_path,
                env=variables | {"TERM": "xterm"},
            )
            os.close(its)
            shown = b"".join(iter(lambda: _read(mine), b""))
            os.close(mine)
            assert process.wait() == 0, shown
            file.seek(0)
            return (shown, b"") if stdout else (file.read(), shown)

    return terminal_


def _read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux's way to say that the other side has been closed
        return b""


@pytest.fixture
def plugin():
    """Return the function that registers a plugin that brings the given backends; all go with the test."""
    names = []

    def plugin_(name, *backends):
        implementation = hookimpl(lambda: list(backends))
        plugins.register(types.SimpleNamespace(convhub_backends=implementation), name)
        names.append(name)

    yield plugin_
    for name in names:
        plugins.unregister(name)


@pytest.fixture
def only_by_hand(monkeypatch):
    """Leave out the built-in backends, so that a test knows each one there is."""
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub")


@pytest.fixture
def wrong(plugin):
    """Register a backend whose forward is off by one in its last element."""

    def forward(x, w, bias, problem, options):
        y = toy_backend.forward(x, w, bias, problem, options)
        y[..., -1, -1] += 1
        return y

    plugin("wrong_plugin", dataclasses.replace(toy_backend.toy, name="wrong", forward=forward))
    return "wrong"


@pytest.fixture
def absent(plugin):
    """Register a backend that is not available, for a reason longer than a line."""
    reason = f"the driver of {'a very long name ' * 12}[is missing] :boom:"
    backend = dataclasses.replace(toy_backend.toy, name="absent", availability=lambda: reason)
    plugin("absent_plugin", backend)
    return reason
