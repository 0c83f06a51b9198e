"""The numba engine when its caller is interrupted, when no thread is to be had, and at exit."""

from __future__ import annotations

import _thread
import itertools
import signal
import sys
import threading
import time

import numpy as np
import pytest
from support.async_exceptions import idle_cpu, strike, threads_of_process

from convhub.backend import RunOptions
from convhub.problem import Problem

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import backend, engine, jit, planner
from convhub_numba.launch import INTEGERS
from convhub_numba.planner import make_plan
from convhub_numba.runtime import atomics, helpers, interrupts, threads

PROBLEM = Problem.parse("forward_n2c24h30w31_k40r3s3_pad1")
LONG = 10**6  # ranges: the job looks at the clock, and cuts its tasks finely


class TooLateError(Exception):
    """What a handler raises."""


def operands(problem, value=1):
    shapes = problem.operand_shapes
    return [np.full(shape, value, problem.dtype) for shape in shapes]


def run(problem, given, options):
    bias = () if problem.primitive == "grad_weight" else (None,)
    return getattr(backend, problem.primitive)(*given, *bias, problem, options)


@jit.kernel()
def wait(first, last, watch, stop, done):
    """Work until told to stop, or until `stop` says so."""
    for task in range(first, last):
        while not (interrupts.told_to_stop(watch) or atomics.load(stop.ctypes.data)):
            atomics.pause()
        if not interrupts.told_to_stop(watch):
            done[task] = 1


@pytest.fixture(autouse=True)
def as_on_many_cores(monkeypatch):
    monkeypatch.setattr(planner, "SMALL_WORK", 0)
    monkeypatch.setattr(threads, "cores", lambda: 8)
    make_plan.cache_clear()
    engine._known.clear()
    yield
    make_plan.cache_clear()
    engine._known.clear()


@pytest.fixture
def handle():
    """Let a handler take SIGALRM until the test ends."""
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def raising(error):
    def handler(number, frame):
        raise error

    return handler


@pytest.mark.parametrize("count", [1, 3])
def test_a_signal_ends_a_kernel_on_all_threads(handle, count):
    kernel = threads.kernel(wait, (), INTEGERS, INTEGERS)
    stop, done = np.zeros(1, np.int64), np.zeros(8, np.int64)
    error = TooLateError()
    handle(raising(error))
    for _ in range(3):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(TooLateError) as caught:
            threads.run(kernel, 8, count, (), (stop, done), LONG)
        assert caught.value is error
        assert not done.any()
    stop[0] = 1
    threads.run(kernel, 8, count, (), (stop, done), LONG)
    assert done.all()


def test_a_handler_that_raises_nothing_lets_it_go_on(handle):
    kernel = threads.kernel(wait, (), INTEGERS, INTEGERS)
    stop, done, heard = np.zeros(1, np.int64), np.zeros(8, np.int64), []

    def handler(number, frame):
        heard.append(run(PROBLEM, operands(PROBLEM), RunOptions(threads=3))[0, 0, 5, 5])  # a call in a call
        stop[0] = 1

    handle(handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    threads.run(kernel, 8, 3, (), (stop, done), LONG)
    assert done.all()
    assert heard == [pytest.approx(24 * 9)]


def test_a_call_in_a_call_has_scratch_memory_of_its_own(handle):
    problem, options = Problem.parse("forward_n8c64h112w112_k64r3s3_pad1"), RunOptions(threads=1)
    given, others = operands(problem), operands(problem, 3)
    assert make_plan(problem, options).algorithm == "winograd"
    expected, heard = run(problem, given, options), []

    def handler(number, frame):
        heard.append(run(problem, others, options)[0, 0, 5, 5])

    handle(handler)
    for _ in range(50):
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        found = run(problem, given, options)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert np.array_equal(found, expected)
        if heard:
            break
    assert heard[0] == pytest.approx(64 * 81)


def test_another_thread_than_the_main_one_is_not_asked():
    kernel = threads.kernel(wait, (), INTEGERS, INTEGERS)
    stop, done, heard = np.zeros(1, np.int64), np.zeros(8, np.int64), []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(threading.get_ident()))
    caller = threading.Thread(target=threads.run, args=(kernel, 8, 2, (), (stop, done), LONG))
    try:
        caller.start()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        end = time.monotonic() + 10
        while not heard and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        stop[0] = 1
        caller.join()
        signal.signal(signal.SIGALRM, before)
    assert heard == [threading.get_ident()]
    assert done.all()


# A kernel of each family whose single tasks may take long.
LONG_TASKS = {
    "winograd": ("grad_weight_n3c24h20w21_k40r3s3_pad1", {}),
    "implicit_gemm": ("grad_weight_n3c24h20w21_k40r3s3_pad1", {"accuracy": "strict"}),
    "gemm": ("grad_weight_n3c24h20w21_k40r3s3_pad1", {"accuracy": "strict", "workspace_limit": 2**16}),
    "dot": ("grad_weight_n3c2h30w31_k2r5s5", {}),
    "depthwise": ("grad_weight_n3c64h20w21_k64r3s3_groups64", {}),
    "grouped": ("grad_weight_n3c64h20w21_k64r3s3_groups8", {}),
    "stem": ("grad_weight_n3c3h40w65_k32r5s5", {}),
    "pointwise": ("grad_weight_n3c24h40w41_k40r1s1", {}),
    "direct": ("grad_weight_n3c40h20w21_k40r3s3", {"workspace_limit": 1}),
    "forward-direct": ("forward_n3c40h20w21_k40r3s3", {"workspace_limit": 1}),
    "forward-gemm": ("forward_n1c600h3w3_k200r3s3_pad1", {"workspace_limit": 2**18}),
}


@pytest.mark.parametrize("algorithm", LONG_TASKS)
def test_kernels_look_inside_their_tasks(monkeypatch, algorithm):
    text, limits = LONG_TASKS[algorithm]
    problem, options = Problem.parse(text), RunOptions(**limits)
    assert make_plan(problem, options).algorithm == algorithm.rpartition("-")[2]
    looks = looks_beyond_ranges(monkeypatch)
    run(problem, operands(problem), options)
    assert max(looks) > 1


@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
def test_so_do_those_that_compute_again_what_is_not_finite(monkeypatch, primitive):
    problem = Problem.parse(f"{primitive}_n3c24h20w21_k40r3s3_pad1")
    assert make_plan(problem, RunOptions()).algorithm == "winograd"
    looks = looks_beyond_ranges(monkeypatch)
    run(problem, operands(problem, np.inf), RunOptions())
    assert looks[-1] > 1


def looks_beyond_ranges(monkeypatch):
    """Have the engine run kernels on one thread, and return how often each looked but between ranges."""

    @jit.kernel()
    def counting(job):
        atomics.add(atomics.load(job + interrupts.SYSTEM), 1)
        return False

    looks, seen = [], np.zeros(1, np.int64)
    running = threads._run_job()
    checking = threads.address(counting, threads.INT)

    def run_counted(kernel, tasks, count, memory, arguments, ranges=4):
        seen[0] = 0
        memory = tuple(array[: array.size // count] for array in memory)
        items = kernel.watch + memory + arguments
        kernel.launch(running, kernel.runner, kernel.address, kernel.layout, tasks, 1, 5, 0, 0,
                    seen.ctypes.data, checking, id(items))  # fmt: skip
        looks.append(int(seen[0]) - 6)

    monkeypatch.setattr(threads, "run", run_counted)
    return looks


FILES = {
    sys.modules[f"convhub_numba.{name}"].__file__
    for name in (
        "runtime.threads",
        "runtime.helpers",
        "runtime.scratch",
        "engine",
        "launch",
        "algorithms.winograd.launch",
    )
}


@pytest.mark.parametrize("fresh", [False, True])
def test_a_strike_at_any_line_leaves_nothing_behind(fresh):
    problem = PROBLEM
    given, options = operands(problem), RunOptions(threads=3)
    threads.end_helpers()  # of other tests, which may be more
    expected = run(problem, given, options)
    time.sleep(0.02)
    struck = 0
    for line in itertools.count(1):
        if fresh:
            threads.end_helpers()  # so that it strikes where they are started
        if not strike(lambda: run(problem, given, options), FILES, line):
            break
        struck += 1
        assert np.array_equal(run(problem, given, options), expected), line
        assert len(threads._team.started) == 2
    assert struck > 20
    time.sleep(0.1)
    assert idle_cpu(0.1) < 0.5
    before = threads_of_process()
    threads.end_helpers()
    end = time.monotonic() + 5
    while threads_of_process() > before - 2 and time.monotonic() < end:
        time.sleep(0.001)
    assert threads_of_process() <= before - 2


@pytest.mark.parametrize("possible", [0, 1])
def test_where_no_thread_can_be_started_the_caller_computes(monkeypatch, possible):
    start, left = _thread.start_new_thread, [None] * possible

    def refusing(*arguments):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        return start(*arguments)

    threads.end_helpers()
    given, options = operands(PROBLEM), RunOptions(threads=4)
    expected = run(PROBLEM, given, RunOptions(threads=1))
    monkeypatch.setattr(_thread, "start_new_thread", refusing)
    for _ in range(3):
        assert np.array_equal(run(PROBLEM, given, options), expected)
        assert len(threads._team.started) == possible
    time.sleep(0.1)
    assert idle_cpu(0.1) < 0.5
    monkeypatch.setattr(_thread, "start_new_thread", start)
    monkeypatch.setattr(helpers, "RETRY", 0)
    assert np.array_equal(run(PROBLEM, given, options), expected)
    assert len(threads._team.started) == 3  # it is tried again
    threads.end_helpers()


def test_no_more_helpers_than_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    threads.end_helpers()
    given = operands(PROBLEM)
    run(PROBLEM, given, RunOptions(threads=64))
    assert len(threads._team.started) == 1


def test_after_exit_began_nobody_is_started(monkeypatch):
    monkeypatch.setattr(threads, "_team", helpers.Team())
    given, options = operands(PROBLEM), RunOptions(threads=3)
    expected = run(PROBLEM, given, options)
    threads._close()
    assert np.array_equal(run(PROBLEM, given, options), expected)
    assert len(threads._team.started) == 2
