"""Checks that bits are the same when called from many threads, with any thread count, and after a fork."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np

from ...problem import PRIMITIVES, with_primitive
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import compute, refused, settings, with_more_images
from ..trial import CheckFailure, Skip, Trial
from .memory import same_bits
from .numbers import judge
from .sizes import judge_integers
from .state import related

__all__ = ["after_fork", "any_thread_count", "different_callers", "first_calls", "many_callers"]

CALLERS = 8
ROUNDS = 2
#: Numbers of threads as users have them, and one that divides nothing.
THREADS = (1, 2, 3, 4, 6, 8, 16)
#: The seconds that a forked process may take; a backend whose threads are gone waits for them forever.
PATIENCE = 30.0
#: The first byte of a forked process's answer.
RESULT, FAILURE = b"R", b"F"


def many_callers(trial: Trial) -> None:
    """Check that eight threads calling at once, each with its operands, get the same bits as one alone.

    The first problem has one image more, so that it is new, and plans and tables are made for it.
    """
    fresh = with_more_images(trial, 1)
    if fresh is not None:
        given = _given(fresh)
        results = _all_at_once([fresh] * CALLERS, given, 1)
        _compare(fresh, given, results, [compute(fresh, one) for one in given])
    given = _given(trial)
    expected = [compute(trial, one) for one in given]
    for one, result in zip(given[:2], expected, strict=False):
        judge(trial, result, one, "one caller alone")
    _compare(trial, given, _all_at_once([trial] * CALLERS, given, ROUNDS), expected)


def different_callers(trial: Trial) -> float:
    """Check threads calling at once with different problems, and with one another's operands."""
    problems = [trial.problem]
    for primitive in PRIMITIVES:
        problem = with_primitive(trial.problem, primitive)
        problems += [problem, problem.replace(batch=problem.batch + 1)]
    problems += related(trial.problem)
    trials = [trial._replace(problem=p) for p in problems if refused(trial.backend, p) is None]
    # Problems that take turns, so that at most four of the callers have the same one and share its operands.
    chosen = [trials[i * max(1, len(trials) // 4) % len(trials)] for i in range(CALLERS)]
    return _judged_at_once(chosen, ROUNDS)


def first_calls(trials: list[Trial]) -> float:
    """Check callers that all make their first call at the same time."""
    return _judged_at_once([trials[i % len(trials)] for i in range(CALLERS)], 1)


def _judged_at_once(chosen: list[Trial], rounds: int) -> float:
    """Judge the results of callers at the same time; those with equal problems have the same operands."""
    given = [operands(one.problem, one.seed, "exact", bias=True) for one in chosen]
    for i, one in enumerate(chosen):
        given[i] = given[chosen.index(one)]
    ratio = 0.0
    for caller, results in enumerate(_all_at_once(chosen, given, rounds)):
        what = f"caller {caller} of {CALLERS} at the same time, with {len(set(chosen))} problems"
        for result in results:
            ratio = max(ratio, judge_integers(chosen[caller], result, given[caller], what))
    return ratio


def _given(trial: Trial) -> list[Operands]:
    return [operands(trial.problem, trial.seed + i, bias=True) for i in range(CALLERS)]


def _all_at_once(trials: list[Trial], given: list[Operands], rounds: int) -> list[list[Array]]:
    """Return each caller's results, by round."""
    barrier = threading.Barrier(CALLERS)
    results: list[list[Array]] = [[] for _ in range(CALLERS)]
    errors: list[BaseException] = []

    def call_repeatedly(caller: int) -> None:
        try:
            for _ in range(rounds):
                barrier.wait()
                results[caller].append(compute(trials[caller], given[caller]))
        # The main thread raises it.
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
            barrier.abort()

    with _eager_switching():
        threads = [threading.Thread(target=call_repeatedly, args=(caller,)) for caller in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return results


def _compare(trial: Trial, given: list[Operands], results: list[list[Array]], expected: list[Array]) -> None:
    for caller, found in enumerate(results):
        what = f"caller {caller} of {CALLERS} at the same time"
        for result in found:
            same_bits(trial, result, expected[caller], given[caller], what)


@contextlib.contextmanager
def _eager_switching() -> Iterator[None]:
    """Let Python switch between threads every few microseconds, so that races happen in short calls too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def any_thread_count(trial: Trial) -> float:
    """Check that ``CONVHUB_THREADS`` changes the time of a call, but no bit of its result."""
    given = operands(trial.problem, trial.seed, bias=True)
    expected, ratio = None, 0.0
    for threads in THREADS:
        with settings(threads=threads):
            result = compute(trial, given)
        ratio = max(ratio, judge(trial, result, given, f"CONVHUB_THREADS={threads}"))
        if expected is None:
            expected = result
        same_bits(trial, result, expected, given, f"CONVHUB_THREADS={threads} after 1")
    return ratio


def after_fork(trial: Trial) -> None:
    """Check that a process forked after a call gets the same bits."""
    if not hasattr(os, "fork"):
        raise Skip("this platform has no fork")
    if trial.problem.device != "cpu":
        raise Skip("a CUDA context does not survive a fork")
    given = operands(trial.problem, trial.seed, bias=True)
    expected = compute(trial, given)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork while threads run, which this check does on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _answer_and_exit(trial, reading, writing)
    os.close(writing)
    answer = b""
    try:
        answer = _read_all(reading)
    finally:
        os.close(reading)
        status = _wait(child)
    if status is None:
        raise CheckFailure(trial, f"in a forked process the call did not return within {PATIENCE:g} s")
    if answer[:1] != RESULT:
        text = answer[1:].decode(errors="replace") or f"the process ended with status {status}"
        raise CheckFailure(trial, f"in a forked process the call failed: {text}")
    result: Array = np.ndarray(expected.shape, expected.dtype, bytearray(answer[1:]))
    same_bits(trial, result, expected, given, "in a forked process")


def _answer_and_exit(trial: Trial, reading: int, writing: int) -> None:
    """Run the call in the child, and exit without the cleanup of Python and its libraries."""
    try:
        os.close(reading)
        answer = RESULT + compute(trial, operands(trial.problem, trial.seed, bias=True)).tobytes()
    # Nothing further up catches it; the parent process shows it.
    except BaseException as error:  # noqa: BLE001
        answer = FAILURE + f"{type(error).__name__}: {error}".encode()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _read_all(reading: int) -> bytes:
    """Return what the child writes until it closes the pipe or the time is up."""
    parts: list[bytes] = []
    end = time.monotonic() + PATIENCE
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reading, 1 << 20)
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def _wait(child: int) -> int | None:
    """Return the child's exit status; None if it had to be killed."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
