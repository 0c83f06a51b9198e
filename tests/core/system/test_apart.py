"""What must not be interrupted half way, and a caller that is."""

from __future__ import annotations

import contextvars
import importlib.util
import re
import signal
import subprocess
import sys
import threading

import pytest

from convhub.system.apart import apart


@pytest.fixture
def interrupted_soon():
    def handler(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_it_gives_and_raises_what_the_function_does():
    assert apart(pow, 2, 5) == 32
    with pytest.raises(ZeroDivisionError):
        apart(divmod, 1, 0)


def test_the_caller_is_interrupted_and_the_function_is_not(interrupted_soon):
    go_on, done = threading.Event(), threading.Event()

    def work():
        assert go_on.wait(10)
        done.set()

    with pytest.raises(TimeoutError):
        apart(work)
    assert not done.is_set()
    go_on.set()
    assert done.wait(10)


def test_it_has_the_callers_context():
    here = contextvars.ContextVar("here")  # where NumPy 2 keeps errstate, and NumPy 1 does not
    token = here.set("the caller's")
    assert apart(here.get) == "the caller's"
    here.reset(token)


def test_outside_of_the_main_thread_nothing_strikes():
    found = []
    thread = threading.Thread(
        target=lambda: found.append(apart(threading.get_ident) == threading.get_ident())
    )
    thread.start()
    thread.join()
    assert found == [True]


def test_where_no_thread_starts_the_caller_does_it(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert apart(threading.get_ident) == threading.get_ident()


def test_a_stack_that_is_too_small_is_not_used():
    before = threading.stack_size(2**16)
    try:
        assert apart(threading.get_ident) == threading.get_ident()
    finally:
        threading.stack_size(before)


FIRST_CALL = """
import signal, sys, time
import numpy as np
import convhub

class Late(Exception):
    pass

def late(number, frame):
    raise Late

x, w = np.ones((1, 3, 9, 9), "f4"), np.ones((4, 3, 3, 3), "f4")
signal.signal(signal.SIGALRM, late)
convhub.conv2d(x, w, backend="numpy")
interrupted = 0
for _ in range(40):
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    start = time.perf_counter()
    try:
        result = convhub.conv2d(x, w, backend=sys.argv[1])
    except Late:
        interrupted += 1
        continue
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    break
else:
    result = convhub.conv2d(x, w, backend=sys.argv[1])
assert (result == 27).all()
print(interrupted)
"""


#: Twice this ended in a crash of torch's own code at exit; the cause is not known yet.
CRASHES = pytest.mark.skip(reason="torch's first import, interrupted again and again, may crash at exit")


@pytest.mark.parametrize("backend", ["numba", pytest.param("torch", marks=CRASHES)])
def test_a_first_call_that_is_interrupted_again_and_again(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    command = [sys.executable, "-c", FIRST_CALL, backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # Where the import of `decimal` is begun again, its C library says that it was told something before.
    assert not re.sub(r".*: warning: mpd_setminalloc: .*\n*", "", done.stderr)
    assert int(done.stdout) > 0
