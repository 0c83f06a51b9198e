"""A process that compiles has a companion compile what later calls need, and does without one as well."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys

import pytest

pytest.importorskip("numba")
from convhub_numba import Options, companion_process
from convhub_numba.runtime import companion

from convhub.backend import Problem, RunOptions

needs_two_cores = pytest.mark.skipif(
    companion.cores() == 1 or os.name != "posix", reason="one core, or no POSIX system: there is no companion"
)

PROBLEM = Problem.parse("forward_float32_n1c8h8w8_k8r3s3")

#: Calls that compile; then the log of the process, and what became of the companion.
PROGRAM = """
import logging, sys
import numpy as np
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
import convhub
from convhub_numba.runtime import companion

x, w = np.ones((2, 8, 12, 12), "float32"), np.ones((8, 1, 3, 3), "float32")
with convhub.settings(threads=2):
    y = convhub.conv2d(x, w, groups=8, backend="numba")
    assert (y == 9).all()
    before = companion._State.process
    print("has one" if before else "has none")
    if sys.argv[1:] == ["killed"]:
        before.kill()
        before.wait()
    grads = convhub.conv2d_backward(np.ones_like(y), x, w, groups=8, backend="numba")
    assert (grads.weight == 200).all()
    assert grads.input[0, 0, 5, 5] == 9
if before:
    print("child", before.pid)
"""


def run(cache, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@needs_two_cores
def test_a_cold_process_has_one_which_ends_with_it(tmp_path):
    said = run(tmp_path)
    assert "a companion process compiles" in said
    assert "has one" in said
    child = int(said.rpartition("child ")[2])
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    warm = run(tmp_path)  # with all kernels kept there is nothing to do
    assert "has none" in warm
    assert "compiling" not in warm


@needs_two_cores
def test_one_that_dies_is_not_missed(tmp_path):
    assert "has one" in run(tmp_path, "killed")


@pytest.fixture
def fresh(monkeypatch):
    """Give the state of a process that has told nobody anything."""
    for name, value in {"alone": False, "process": None, "connection": None}.items():
        monkeypatch.setattr(companion._State, name, value)
    companion._remembered.clear()
    yield companion
    companion._remembered.clear()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda patch: patch.setattr(companion, "cores", lambda: 1),
        lambda patch: patch.setattr(companion.kernel_cache, "folder", lambda: None),
        lambda patch: patch.setattr(sys, "executable", "/opt/render/render"),
        lambda patch: patch.setattr(sys, "executable", None),
        lambda patch: patch.setattr(sys, "frozen", True, raising=False),
    ],
)
def test_there_is_none_where_it_could_not_help(fresh, monkeypatch, spoil):
    spoil(monkeypatch)
    monkeypatch.setattr(companion.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    fresh.expect(PROBLEM, RunOptions(threads=2), 0)
    fresh.compiling()
    assert fresh._State.process is None
    assert fresh._State.alone


def test_where_no_process_can_be_started_calls_go_on(fresh, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError("there are too many")

    caplog.set_level("INFO")
    monkeypatch.setattr(companion, "_is_useful", lambda: True)
    monkeypatch.setattr(companion.subprocess, "Popen", refuse)
    fresh.expect(PROBLEM, RunOptions(threads=2), 0)
    fresh.compiling()
    assert "no companion process can be started: there are too many" in caplog.text


def test_what_is_told_before_is_remembered_and_bounded(fresh):
    for _ in range(companion.MOST_REMEMBERED + 5):
        fresh.expect(PROBLEM, RunOptions(threads=2), 128)
    fresh.expect(PROBLEM, RunOptions(threads=1), 0)  # one thread means one core
    fresh.expect(PROBLEM, RunOptions(threads=2, backend=Options(companion=False)), 0)
    assert len(companion._remembered) == companion.MOST_REMEMBERED
    assert pickle.loads(companion._remembered[-1]) == (PROBLEM, RunOptions(threads=2), 128)


def test_it_compiles_in_the_opposite_order_and_survives_what_fails(monkeypatch):
    done = []

    def compile_(key):
        done.append(key)
        if key == "breaks":
            raise ValueError("of pebbles")

    monkeypatch.setattr(companion_process, "compile_unclaimed", compile_)
    monkeypatch.setattr(companion_process, "machinery", lambda: ["machinery"])
    monkeypatch.setattr(companion_process, "likely_kernels", lambda *_: ["first", "breaks", "last"])
    message = pickle.dumps((PROBLEM, RunOptions(), 0))
    companion_process.serve(io.BytesIO(message + message))
    assert done == ["machinery", "last", "breaks", "last", "breaks"]


#: Compiles what the companion would for a problem; or runs it, and shows what is still compiled.
LISTED = """
import logging, sys
import numpy as np
from convhub.backend import Problem, RunOptions
from convhub_numba import engine
from convhub_numba.runtime import companion
from convhub_numba.runtime.compile import compile_unclaimed
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
problem, options = Problem.parse(sys.argv[1]), RunOptions(threads=2)
companion.stay_alone()
if sys.argv[2] == "compile":
    for key in (*engine.machinery(), *engine.likely_kernels(problem, options)):
        compile_unclaimed(key)
else:
    x, w = (np.ones(shape, problem.dtype) for shape in problem.operand_shapes)
    engine.forward(x, w, None, problem, options)
"""


def test_the_kernels_it_lists_are_all_that_a_call_launches(tmp_path):
    for mode, compiles in (("compile", True), ("run", False)):
        done = subprocess.run(
            [sys.executable, "-c", LISTED, "forward_float32_n1c8h28w28_k16r1s1", mode],
            capture_output=True,
            text=True,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert ("correlate" in done.stdout) is compiles, done.stdout
        assert ("compiling" in done.stdout) is compiles, done.stdout
