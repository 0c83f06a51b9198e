"""Children that are forked while another thread plans, compiles or loads a kernel of the Numba engine."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")

#: The children call with a new size, so that each makes a plan, and compile and load a function.
CHILDREN = """
import multiprocessing, os, random, signal, sys, threading, time, warnings
import numpy as np, convhub
from convhub_numba import jit
from convhub_numba.runtime import compile as c, forks
from numba import types

warnings.simplefilter("ignore")
w = np.ones((4, 4, 3, 3), "f4")

def call(n):
    assert convhub.conv2d(np.ones((1, 4, 8, n), "f4"), w, backend="numba")[0, 0, 0, 0] == 36

def compute():
    def function(x):
        return 2 * x + 1
    assert c.compiled(jit.entry()(function), types.int64)(4) == 9

def busy():
    n = 12
    while not stopped.is_set():
        call(n)
        n = 12 + (n - 11) % 4000
        if compiling:
            compute()

def child(i):
    call(5000 + i)
    if i % 4 == 0:
        compute()
    return i

compiling = sys.argv[1] == "compiling"
stopped = threading.Event()
call(8)
thread = threading.Thread(target=busy)
thread.start()
try:
    for i in range(30):
        time.sleep(random.random() * 0.02)
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            try:
                child(i)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0, i
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(child, range(6)).get(120) == list(range(6))
finally:
    stopped.set()
    thread.join()
assert forks._held.locks == []
"""


@pytest.mark.parametrize("what", ["planning", "compiling"])
def test_a_fork_while_another_thread_is_busy(what):
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr


def test_the_locks_that_a_call_may_meet_are_waited_for():
    import llvmlite.binding.ffi
    import numba.core.compiler_lock
    from convhub_numba import engine
    from convhub_numba.runtime import forks

    assert engine
    assert forks._waited_for == [
        forks.lock,
        numba.core.compiler_lock.global_compiler_lock,
        llvmlite.binding.ffi.lib._lock,
    ]
