"""A backend that does not say whether it is available keeps nobody waiting for long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.faulty_plugins import DECLINES, ORIGIN, plugin

import convhub
from convhub import plugins
from convhub.dispatch import queries

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
PAGE = (Path(__file__).parents[3] / "docs" / "plugin-contract.md").read_text(encoding="utf-8")

WAITING = plugin(
    before="import threading\nrelease, asked = threading.Event(), []",
    fields="availability=lambda: asked.append(0) or release.wait() or True",
)


@pytest.fixture
def impatient(monkeypatch):
    """Give backends a fifth of a second to answer; threads that still wait end with the test."""
    monkeypatch.setattr(queries, "AVAILABILITY_SECONDS", 0.2)
    yield
    module = sys.modules.get("mine")
    if module is not None:
        module.release.set()
    queries._silent.clear()


@pytest.mark.usefixtures("impatient")
def test_what_does_not_answer_in_time_is_unavailable_and_never_asked_again(install, monkeypatch):
    install("mine", WAITING)
    message = f"{DECLINES}not available: its availability did not answer within 0.2 s ({ORIGIN})"
    start = time.monotonic()
    with pytest.raises(convhub.BackendUnavailableError) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert str(caught.value) == message
    assert message.replace("0.2 s", "30 s") in " ".join(PAGE.split())
    assert time.monotonic() - start >= 0.2
    # Neither under other settings, nor after the plugins have been loaded again.
    asked = sys.modules["mine"].asked
    for key, value in (("CONVHUB_THREADS", "1"), ("CONVHUB_DISABLE_PLUGINS", "naive")):
        monkeypatch.setenv(key, value)
        with pytest.raises(convhub.BackendUnavailableError, match="did not answer within"):
            convhub.conv2d(X, W, backend="mine")
    assert asked == [0]
    assert "did not answer within 0.2 s" in str(convhub.explain(convhub.conv2d, X, W))
    assert "mine" not in convhub.available_backends()


@pytest.mark.usefixtures("impatient")
def test_the_next_backend_runs_and_a_warning_names_the_one_that_does_not_answer(install):
    install("mine", WAITING.replace("availability=", "preference={'cpu': 99}, availability="))
    with pytest.warns(RuntimeWarning, match="'mine' is passed over: not available: its availability did not"):
        assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9


def test_those_behind_the_one_that_runs_are_not_asked(install, monkeypatch):
    install(
        "mine",
        plugin(before="asked = []", fields="preference={'cpu': 1}, availability=lambda: asked.append(0)"),
    )
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert sys.modules["mine"].asked == []
    monkeypatch.setenv("CONVHUB_TUNE", "1")  # which has to know whom to measure
    convhub.conv2d(X, W)
    assert sys.modules["mine"].asked == [0]


def test_a_late_answer_is_an_answer_and_its_thread_has_ended(install):
    install(
        "mine", plugin(before="import time", fields="availability=lambda: time.sleep(0.2) or 'no driver'")
    )
    before = threading.active_count()
    with pytest.raises(convhub.BackendUnavailableError, match="not available: no driver$"):
        convhub.conv2d(X, W, backend="mine")
    assert threading.active_count() <= before


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError"])
def test_what_it_raises_ends_neither_the_program_nor_in_the_void(install, kind):
    install("mine", plugin(before=f"def answer():\n    raise {kind}('out')", fields="availability=answer"))
    with pytest.raises(convhub.BackendUnavailableError) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert f"its availability raised {kind}: out ({ORIGIN})" in str(caught.value)


def test_one_that_asks_for_itself_does_not_wait_for_itself(install):
    before = (
        "def answer():\n    import convhub\n    return 'mine' in convhub.available_backends() or 'not yet'"
    )
    install("mine", plugin(before=before, fields="availability=answer"))
    start = time.monotonic()
    with pytest.raises(convhub.BackendUnavailableError, match="not available: not yet"):
        convhub.conv2d(X, W, backend="mine")
    assert time.monotonic() - start < queries.AVAILABILITY_SECONDS / 2


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0",
    reason="NumPy 1 keeps errstate for a thread, not for a context",
)
def test_it_is_asked_in_the_callers_context(install):
    before = "def answer():\n    return f'over is {np.geterr()[\"over\"]}'"
    install("mine", plugin(before=before, fields="availability=answer"))
    with np.errstate(over="call"), pytest.raises(convhub.BackendUnavailableError, match="over is call"):
        convhub.conv2d(X, W, backend="mine")


def test_a_backend_that_has_no_question_costs_no_thread(install, monkeypatch):
    install("mine", plugin())
    plugins.registry()  # which is collected in a thread

    def refuse(*_, **__):
        raise AssertionError("a thread was made")

    monkeypatch.setattr(threading, "Thread", refuse)
    assert convhub.conv2d(X, W, backend="mine")[0, 0, 0, 0] == 9


def test_where_no_thread_is_to_be_had_it_is_asked_without_one(install, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    install("mine", plugin(fields="availability=lambda: True"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert convhub.conv2d(X, W, backend="mine")[0, 0, 0, 0] == 9


FORKED = """
import os, sys
import numpy as np, convhub
from convhub.dispatch import queries
queries.AVAILABILITY_SECONDS = 0.5
def said():
    try:
        convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend="mine")
    except convhub.BackendUnavailableError as error:
        return str(error)
first = said()
child = os.fork()
if child == 0:
    right = convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend="naive")[0, 0, 0, 0] == 9
    os._exit(0 if said() == first and right else 1)
print(first, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_process_with_such_a_thread_forks_and_ends(install, monkeypatch):
    folder = install("mine", plugin(before="import time", fields="availability=lambda: time.sleep(3600)"))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    # Python 3.12 warns of a fork while threads run, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"did not answer within 0.5 s ({ORIGIN}) 0\n")
