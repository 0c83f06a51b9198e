"""Threads of the numpy backend: none is left behind, whatever happens, and none is needed."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from convhub_numpy import gather, sharing, weight
from support.async_exceptions import strike, threads_of_process

from convhub.backend import RunOptions
from convhub.problem import Problem

PROBLEMS = [
    "forward_n1c16h40w40_k32r3s3_pad1",
    "forward_n2c64h70w70_k64r3s3_groups64",
    "grad_weight_n4c16h40w40_k32r3s3",
]
FILES = {
    sys.modules[f"convhub_numpy.{name}"].__file__ for name in ("sharing", "gather", "weight", "bands", "taps")
}


def compute(problem, threads=3):
    given = [np.ones(s, problem.dtype) for s in (problem.input_shape, problem.weight_shape)]
    options = RunOptions(threads=threads)
    if problem.primitive == "grad_weight":
        return weight.grad_weight(np.ones(problem.output_shape, problem.dtype), given[0], problem, options)
    return gather.forward(*given, None, problem, options)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(sharing, "_cores", lambda: 8)


def idle_threads(before):
    """Return how many threads there are beyond those of `before`, once they had time to end."""
    end = time.monotonic() + 5
    while threads_of_process() > before and time.monotonic() < end:
        time.sleep(0.001)
    return threads_of_process() - before


@pytest.mark.parametrize("count", [0, 1, 5, 40])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_item_is_done_once(count, threads):
    done = []
    sharing.run(lambda share: done.extend(share), count, threads)
    assert sorted(done) == list(range(count))


def test_threads_work_at_the_same_time():
    barrier = threading.Barrier(4, timeout=10)
    sharing.run(lambda share: [barrier.wait() for _ in share], 4, 4)


@pytest.mark.parametrize("started", [0, 1, 2])
def test_where_threads_cannot_be_started_others_do_their_share(monkeypatch, started):
    start = _thread.start_new_thread
    left = iter([start] * started)

    def limited(*arguments):
        for one in left:
            return one(*arguments)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", limited)
    before, done = threads_of_process(), []
    sharing.run(lambda share: done.extend(share), 40, 5)
    assert sorted(done) == list(range(40))
    assert idle_threads(before) <= 0


def test_no_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(sharing, "_cores", lambda: 2)
    seen, done = set(), []

    def work(share):
        for item in share:
            seen.add(threading.get_ident())
            done.append(item)
            time.sleep(0.001)

    sharing.run(work, 40, 16)
    assert sorted(done) == list(range(40))
    assert len(seen) == 2


@pytest.mark.parametrize("where", ["caller", "helper"])
def test_what_a_thread_raises_ends_all(where):
    caller, done, before = threading.get_ident(), [], threads_of_process()

    def work(share):
        for item in share:
            if (threading.get_ident() == caller) == (where == "caller"):
                raise MemoryError("full")
            done.append(item)
            time.sleep(0.001)

    with pytest.raises(MemoryError, match="full"):
        sharing.run(work, 4000, 4)
    assert len(done) < 2000
    assert idle_threads(before) <= 0


@pytest.mark.parametrize("text", PROBLEMS)
def test_a_strike_at_any_line_leaves_nothing_behind(text):
    problem = Problem.parse(text)
    expected, before = compute(problem, 1), threads_of_process()
    buffer = np.getbufsize()
    line, step = 0, 1
    while strike(lambda: compute(problem), FILES, line := line + step):
        assert idle_threads(before) <= 0, line
        assert np.getbufsize() == buffer
        assert np.geterr() != {"divide": "ignore", "over": "ignore", "under": "ignore", "invalid": "ignore"}
        step = 1 + line // 40  # each of the first ones, and then fewer of what loops repeat
    assert line > 60
    assert np.array_equal(compute(problem), expected)


def test_a_signal_ends_a_long_call_soon():
    """The other thread is in the middle of a long item: it is waited for, and begins no other one."""
    begun, helper_begun = [], threading.Event()
    caller = threading.get_ident()

    def work(share):
        for item in share:
            begun.append(item)
            if threading.get_ident() == caller:
                assert helper_begun.wait(10)
                signal.raise_signal(signal.SIGINT)
            helper_begun.set()
            time.sleep(0.2)

    # A shell ignores the signal for what it runs in the background, and Python leaves that as it is.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            sharing.run(work, 1000, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(begun) <= 3


LATE = """
import atexit, os, threading, time, weakref
import numpy as np
import convhub

x, w = np.ones((1, 16, 64, 64), "f4"), np.ones((16, 16, 3, 3), "f4")

def call(when, counts=("1", "2")):
    for threads in counts:
        if len(counts) > 1:
            os.environ["CONVHUB_THREADS"] = threads
        for backend in BACKENDS:
            if backend == "naive" and when == "__del__":
                continue  # it asks NumPy for the name of a dtype, which imports
            image = x[..., :4, :4] if backend == "naive" else x
            assert convhub.conv2d(image, w, backend=backend)[0, 0, 0, 0] == 144
            print(when, backend, threads)

class Last:
    pass

class Deleted:
    def __del__(self):
        call("__del__", ["2"])  # by now nothing can be imported, and so no setting changed

BACKENDS = NAMES
last, deleted = Last(), Deleted()
atexit.register(call, "atexit")
weakref.finalize(last, call, "finalize")
if IMPORTED_BEFORE:
    call("main")
main = threading.current_thread()
def late():
    main.join()
    time.sleep(0.05)
    call("thread")
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("imported_before", [True, False])
def test_calls_after_the_end_of_the_main_thread(imported_before):
    code = LATE.replace("NAMES", "('numpy', 'naive')").replace("IMPORTED_BEFORE", str(imported_before))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert not done.stderr
    assert done.returncode == 0
    for when in ("thread", "atexit", "finalize", "__del__"):
        assert done.stdout.count(f"{when} numpy 2") == 1, when
