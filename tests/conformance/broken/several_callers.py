"""Faults of several threads: certain numbers of them, chunks that do not divide, and callers that meet."""

from __future__ import annotations

import threading
import time

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault


def _tail(result, threads):
    """Return the result without the rows that remain when threads share all equally."""
    rows = result.reshape(-1, result.shape[-1])
    rows[len(rows) - len(rows) % threads :] = 0
    return result


def _with_threads(number):
    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        return _tail(result, number) if options.threads == number else result

    return run


@fault("any thread count", on=("forward",), remembers=True)
def rows_left_over_by_three():
    """Wrong only for three threads: the rows that remain are nobody's."""
    return _with_threads(3)


@fault("any thread count", on=("grad_input",), remembers=True)
def rows_left_over_by_four():
    """Wrong only for four threads: the rows that remain are nobody's."""
    return _with_threads(4)


@fault("any thread count", on=("grad_weight",), remembers=True)
def rows_left_over_by_six():
    """Wrong only for six threads: the rows that remain are nobody's."""
    return _with_threads(6)


@fault("any thread count", on=("forward",), remembers=True)
def rows_left_over_by_eight():
    """Wrong only for eight threads: the rows that remain are nobody's."""
    return _with_threads(8)


@fault("any thread count", on=("grad_input",), remembers=True)
def rows_left_over_by_sixteen():
    """Wrong only for sixteen threads: the rows that remain are nobody's."""
    return _with_threads(16)


@fault("any thread count", on=("grad_input", "grad_weight"))
def more_threads_than_rows(right, first, second, bias, problem, options):
    """Wrong only for more threads than images times channels: idle threads add the first row again."""
    result = right(first, second, bias, problem, options)
    if options.threads > result.shape[0] * result.shape[1] > 0:
        result[0, 0] *= 2
    return result


@fault("any thread count", on=("forward",))
def more_threads_than_images(right, first, second, bias, problem, options):
    """Wrong only for more than one thread and fewer images: divides images by threads, and gets none each."""
    result = right(first, second, bias, problem, options)
    return result * 0 if 1 < problem.batch < options.threads else result


@fault("any thread count", on=("grad_input",))
def more_than_four_threads(right, first, second, bias, problem, options):
    """Wrong only for more than four threads: four have a buffer each."""
    result = right(first, second, bias, problem, options)
    if options.threads > 4:
        result[..., -1] = 0
    return result


@fault("any thread count", on=("grad_weight",))
def more_than_eight_threads(right, first, second, bias, problem, options):
    """Wrong only for more than eight threads: a mask of threads has eight bits."""
    result = right(first, second, bias, problem, options)
    if options.threads > 8:
        result[..., -1] = 0
    return result


@fault("nonfinite", on=("grad_weight",))
def images_summed_by_threads(right, dy, x, bias, problem, options):
    """Wrong only for floats: each thread sums some of the images, so that bits depend on their number."""
    if dy.dtype.kind in "iu" or problem.batch < 2:
        return right(dy, x, None, problem, options)
    total, chunk = 0, -(-problem.batch // options.threads)
    for start in range(0, problem.batch, chunk):
        part = np.zeros_like(dy)
        part[start : start + chunk] = dy[start : start + chunk]
        total = total + widen(right(part, x, None, problem, options))
    return narrow(total, problem)


@fault("any thread count", on=("grad_input",))
def last_bit_by_parity_of_threads(right, first, second, bias, problem, options):
    """Wrong only for an even number of threads above two and floats: sums in another order."""
    result = right(first, second, bias, problem, options)
    if options.threads > 2 and options.threads % 2 == 0 and result.dtype.kind == "f":
        result[..., -1] = np.nextafter(result[..., -1], result.dtype.type(0))
    return result


@fault("exact integers", on=("forward", "grad_weight"))
def subnormals_flushed_in_worker_threads(right, first, second, bias, problem, options):
    """Wrong only for several threads: workers flush subnormal results, the calling thread does not."""
    result = right(first, second, bias, problem, options)
    if options.threads > 1 and problem.dtype in ("float32", "float64"):
        result[np.abs(result) < np.finfo(result.dtype).tiny] = 0
    return result


def _slot(choose):
    """Return a fault that passes one of the three arguments through a place that all callers share."""
    shared = {}

    def run(right, *arguments):
        given = list(arguments[:3])
        index = choose(arguments)
        if given[index] is None:
            return right(*arguments)
        key = (given[index].shape, given[index].dtype)
        shared[key] = given[index]
        time.sleep(2e-4)
        given[index] = shared[key]
        return right(*given, *arguments[3:])

    return run


@fault("many callers", on=("forward",), remembers=True)
def first_operand_in_a_global():
    """Keeps the pointer to the first operand in a variable that all callers share."""
    return _slot(lambda arguments: 0)


@fault("many callers", on=("grad_input",), remembers=True)
def second_operand_in_a_global():
    """Keeps the pointer to the second operand in a variable that all callers share."""
    return _slot(lambda arguments: 1)


@fault("many callers", on=("grad_input",), remembers=True)
def bias_in_a_global():
    """Keeps the pointer to the bias in a variable that all callers share."""
    return _slot(lambda arguments: 2)


@fault("many callers", on=("grad_input",), remembers=True)
def result_in_a_global():
    """Builds the result in a buffer that all callers share, and copies it at the end."""
    shared = {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        buffer = shared.setdefault((result.shape, result.dtype), result.copy())
        buffer[...] = result
        time.sleep(2e-4)
        return buffer.copy()

    return run


@fault("many callers", on=("grad_weight",), remembers=True)
def one_caller_at_a_time():
    """Fails only if another call is running: refuses to be entered twice."""
    lock = threading.Lock()

    def run(right, first, second, bias, problem, options):
        if not lock.acquire(blocking=False):
            raise RuntimeError("the engine is busy")
        try:
            time.sleep(2e-4)
            return right(first, second, bias, problem, options)
        finally:
            lock.release()

    return run


@fault("many callers", on=("forward",), remembers=True)
def two_callers_at_a_time():
    """Wrong only if three calls run at once: there is scratch for two."""
    running = []

    def run(right, first, second, bias, problem, options):
        running.append(None)
        try:
            time.sleep(1e-3)
            result = right(first, second, bias, problem, options)
            return result + result if len(running) > 2 else result
        finally:
            running.pop()

    return run


@fault("many callers", on=("grad_input",))
def table_of_the_main_thread(right, first, second, bias, problem, options):
    """Wrong only outside of the main thread: a table is local to the thread that imported the backend."""
    result = right(first, second, bias, problem, options)
    return result if threading.current_thread() is threading.main_thread() else result * 0


@fault("different callers", on=("grad_weight",))
def operand_changed_for_a_moment(right, first, second, bias, problem, options):
    """Wrong only for callers that share an operand: negates it in place, and back again."""
    if not second.flags.writeable or second.dtype.kind == "u":
        return right(first, second, bias, problem, options)
    np.negative(second, out=second)
    time.sleep(2e-4)
    result = right(first, second, None, problem, options)
    np.negative(second, out=second)
    np.negative(result, out=result)
    return result if bias is None else narrow(widen(result) + widen(bias)[:, None, None], problem)


@fault("no stale state", on=("grad_input",))
def written_after_return(right, first, second, bias, problem, options):
    """Wrong only a moment after the call: a worker that is not waited for writes the last row again."""
    result = right(first, second, bias, problem, options)

    def late():
        result[..., -1:] = 0

    threading.Timer(1e-3, late).start()
    return result
