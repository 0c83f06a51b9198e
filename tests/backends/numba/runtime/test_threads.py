"""The Numba engine with many threads: the same bits, bounded memory, and no harm from callers or forks."""

import os
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.problem import Problem

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import backend, engine, jit, planner
from convhub_numba.launch import INTEGERS
from convhub_numba.planner import make_plan
from convhub_numba.runtime import atomics, threads

# Each large enough to be shared out, one for every algorithm and primitive.
TEXTS = [
    "forward_n2c24h30w31_k40r3s3_pad1",
    "grad_input_n2c24h31w30_k40r3s3_stride2_pad1",
    "grad_weight_n3c24h30w31_k40r3s3_pad1",
    "forward_n3c64h61w60_k64r3s3_pad1_groups64",
    "grad_input_n2c3h90w91_k32r5s5_stride2_pad2",
    "grad_weight_n3c64h61w60_k64r3s3_pad1_groups64",
    "forward_n1c600h3w3_k200r3s3_pad1",
]


def operands(problem, seed=0):
    rng = np.random.default_rng(seed)
    shapes = problem.operand_shapes
    return [rng.standard_normal(shape).astype(problem.dtype) for shape in shapes]


# Summed in more than one block of terms, by tiles whose pixels lie side by side in some tilings only.
BLOCKED = [
    "grad_input_n1c24h29w31_k33r3s3_pad1x1",
    "grad_input_float64_n1c24h29w31_k33r3s3_pad1x1",
    "forward_n2c33h27w29_k34r3s3_stride2x2_pad1-0x1-0",
]


def run(problem, given, options, bias=None):
    if problem.primitive == "grad_weight":
        return backend.grad_weight(*given, problem, options)
    return getattr(backend, problem.primitive)(*given, bias, problem, options)


@pytest.fixture(autouse=True)
def small_problems_take_threads_too(monkeypatch):
    monkeypatch.setattr(planner, "SMALL_WORK", 0)
    forget_plans()
    yield
    forget_plans()


def forget_plans():
    make_plan.cache_clear()
    engine._known.clear()


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("text", TEXTS + BLOCKED)
def test_bits_do_not_depend_on_threads(text, biased):
    problem = Problem.parse(text)
    given = operands(problem)
    bias = np.random.default_rng(9).standard_normal(problem.result_shape[1]).astype(problem.dtype)
    bias = bias if biased else None
    one = run(problem, given, RunOptions(threads=1), bias)
    for count in (2, 3, 8):
        assert make_plan(problem, RunOptions(threads=count)).threads == count
        for _ in range(3):
            assert np.array_equal(run(problem, given, RunOptions(threads=count), bias), one)


@pytest.mark.parametrize("text", TEXTS[:3])
def test_bits_do_not_depend_on_the_workspace(text):
    problem = Problem.parse(text)
    given = operands(problem)
    one = run(problem, given, RunOptions(threads=1))
    wide = make_plan(problem, RunOptions(threads=3))
    options = RunOptions(threads=3, workspace_limit=wide.scratch_bytes - 1)
    assert make_plan(problem, options).scratch_bytes < wide.scratch_bytes
    assert np.array_equal(run(problem, given, options), one)


def test_concurrent_callers_get_their_own_bits():
    cases = []
    for seed, text in enumerate(TEXTS + TEXTS[:1]):
        problem = Problem.parse(text)
        given = operands(problem, seed)
        cases.append((problem, given, run(problem, given, RunOptions(threads=1))))
    wrong = []

    def call(case):
        problem, given, expected = case
        same = [np.array_equal(run(problem, given, RunOptions(threads=3)), expected) for _ in range(5)]
        if not all(same):
            wrong.append(str(problem))

    callers = [threading.Thread(target=call, args=(case,)) for case in cases]
    assert len(callers) == 8
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


FORKING = """
import os, sys
import numpy as np
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub_numba import backend

problem = Problem.parse("forward_n2c24h30w31_k40r3s3_pad1")
rng = np.random.default_rng(0)
x, w = rng.standard_normal(problem.input_shape), rng.standard_normal(problem.weight_shape)
x, w = x.astype(problem.dtype), w.astype(problem.dtype)
options = RunOptions(threads=3)
before = backend.forward(x, w, None, problem, options)
child = os.fork()
after = backend.forward(x, w, None, problem, options)
same = np.array_equal(before, after)
if child == 0:
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
def test_a_forked_child_computes():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@jit.kernel()
def count(first, last, row, seen, rows):
    """Count each task, and tell which row of scratch memory it had."""
    row[0] += 1
    for task in range(first, last):
        atomics.add(seen.ctypes.data + 8 * task, 1)
        rows[task] = row.ctypes.data


@jit.kernel()
def fail(first, last, seen):
    for task in range(first, last):
        if task == 5:
            raise ValueError("a kernel raises nothing")
        seen[task] = 1


@jit.kernel()
def meet(first, last, arrived):
    """Wait until both tasks run at the same time."""
    atomics.add(arrived.ctypes.data, 1)
    for _ in range(10**9):
        if atomics.load(arrived.ctypes.data) == 2:
            arrived[1 + first] = 1
            break
        atomics.pause()


@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 37])
@pytest.mark.parametrize("count_of_threads", [1, 2, 5, 40])
def test_every_task_runs_once_with_a_row_of_its_own(tasks, count_of_threads):
    kernel = threads.kernel(count, (INTEGERS,), INTEGERS, INTEGERS)
    for _ in range(20):
        scratch = np.zeros(8 * count_of_threads, np.int64)
        seen, rows = np.zeros(tasks, np.int64), np.zeros(tasks, np.int64)
        threads.run(kernel, tasks, count_of_threads, (scratch,), (seen, rows))
        assert seen.tolist() == [1] * tasks
        numbers = (rows - scratch.ctypes.data) / 64
        assert set(numbers) <= set(range(count_of_threads))
        assert np.count_nonzero(scratch.reshape(-1, 8)[:, 1:]) == 0


def test_helpers_work_at_the_same_time_and_again_after_they_ended():
    kernel = threads.kernel(meet, (), INTEGERS)
    for _ in range(3):
        for _ in range(10):
            arrived = np.zeros(3, np.int64)
            threads.run(kernel, 2, 2, (), (arrived,))
            assert arrived.tolist() == [2, 1, 1]
        time.sleep(0.01)  # the helper sleeps by now
        threads.run(kernel, 2, 2, (), (np.zeros(3, np.int64),))
        threads.end_helpers()


@pytest.mark.parametrize("count_of_threads", [1, 3])
def test_a_kernel_that_raises_is_not_overlooked(count_of_threads):
    seen = np.zeros(12, np.int64)
    with pytest.raises(RuntimeError, match="kernel raised an error"):
        threads.run(threads.kernel(fail, (), INTEGERS), 12, count_of_threads, (), (seen,))
    assert seen[:5].tolist() == [1] * 5


def test_numba_num_threads_is_a_limit(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    assert threads.usable_threads(8) == 2
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert threads.usable_threads(8) == 8


def test_threads_above_the_cores_change_no_plan(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    problem = Problem.parse(TEXTS[0])
    make_plan.cache_clear()
    two, many = (make_plan(problem, RunOptions(threads=count)) for count in (2, 64))
    assert many == two
    assert two.threads == 2
    make_plan.cache_clear()


def test_small_problems_stay_on_the_calling_thread(monkeypatch):
    monkeypatch.undo()
    forget_plans()
    assert make_plan(Problem.parse("forward_n1c8h8w8_k8r3s3_pad1"), RunOptions(threads=8)).threads == 1


@pytest.mark.parametrize("limit", [2**18, 2**20, 2**26])
@pytest.mark.parametrize(
    "text",
    [
        "forward_n2c40h100w100_k16r7s7_pad3",
        "grad_input_n2c16h200w100_k40r7s7_stride2_pad3",
        "grad_weight_n2c16h100w200_k16r5s5_pad2",
        "forward_n1c64h100w1000_k64r3s3_pad1_groups64",
        "grad_weight_n1c64h100w1000_k64r3s3_pad1_groups64",
        "forward_n1c2h1000w1100_k2r300s400_stride300",
    ],
)
def test_memory_stays_under_the_limit(text, limit):
    problem = Problem.parse(text)
    given = operands(problem)
    options = RunOptions(threads=2, workspace_limit=limit)
    run(problem, given, options)  # compiled
    assert make_plan(problem, options).scratch_bytes <= limit
    # Threads keep their scratch memory: only new ones show how much they take.
    threads.end_helpers()
    peaks = []

    def measure():
        result = run(problem, given, options)
        peaks.append(tracemalloc.get_traced_memory()[1] - result.nbytes)

    tracemalloc.start()
    try:
        caller = threading.Thread(target=measure)
        caller.start()
        caller.join()
    finally:
        tracemalloc.stop()
    made = make_plan(problem, options)
    tables = sum(stage.table_bytes for stage in made.stages)
    assert (made.scratch_bytes - tables) // made.threads <= peaks[0]
    assert peaks[0] + tables <= limit + 2**16


def test_a_view_of_a_large_array_is_not_copied_whole():
    problem = Problem.parse("forward_n16c32h64w64_k4r3s3_pad1")
    x = np.asfortranarray(np.ones(problem.input_shape, np.float32))
    w = np.ones(problem.weight_shape, np.float32)
    options = RunOptions(workspace_limit=2**20)
    run(problem, [x, w], options)
    tracemalloc.start()
    try:
        result = run(problem, [x, w], options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert x.nbytes > 2**22
    assert peak <= result.nbytes + 2**20
    assert result[3, 2, 5, 5] == 32 * 9
