"""Faults of threads and processes: races, sums split by threads, workers that do not survive a fork."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time

import numpy as np
from conformance.correct.widths import narrow, widen

from convhub.arrays import numpy_dtype

from .faults import fault


@fault("many callers", remembers=True)
def scratch_shared_by_callers():
    """Copies an operand into a buffer that all threads share."""
    buffers = {}

    def run(right, first, second, bias, problem, options):
        scratch = buffers.setdefault(problem, np.empty(first.shape, first.dtype))
        scratch[...] = first
        time.sleep(0)  # another thread may come now
        return right(scratch, second, bias, problem, options)

    return run


@fault("many callers", remembers=True)
def table_seen_before_it_is_filled():
    """Puts a table into a cache before filling it, when another thread may already read it."""
    tables = {}

    def run(right, first, second, bias, problem, options):
        if problem not in tables:
            tables[problem] = np.zeros(1, first.dtype)
            time.sleep(1e-3)  # as long as it takes to fill a large one
            tables[problem] += 1
        return right(first * tables[problem], second, bias, problem, options)

    return run


def _threads_parts(right, first, second, problem, options):
    """Yield the part of the result that each thread would have, if the sum was split over them."""
    threads = np.arange(second.size).reshape(second.shape) * options.threads // max(1, second.size)
    for thread in range(options.threads):
        part = np.where(threads == thread, second, np.zeros_like(second))
        yield widen(right(first, part, None, problem, options))


@fault("any thread count")
def sum_split_by_threads(right, first, second, bias, problem, options):
    """Wrong only for floats: gives each thread a part of the sum, so that bits depend on their number."""
    if problem.dtype not in ("float32", "float64"):
        return right(first, second, bias, problem, options)
    total = sum(_threads_parts(right, first, second, problem, options))
    return narrow(total if bias is None else total + widen(bias)[:, None, None], problem)


@fault("any thread count")
def update_lost(right, first, second, bias, problem, options):
    """Wrong only with several threads: all read the sum, and each writes it back with its part."""
    if options.threads == 1:
        return right(first, second, bias, problem, options)
    parts = list(_threads_parts(right, first, second, problem, options))
    total = np.zeros(problem.result_shape, parts[0].dtype)
    # Were each to read and write in its own time, the race would be lost most times; so it always is.
    everyone_has_read = threading.Barrier(len(parts))

    def add(part):
        seen = total.copy()
        everyone_has_read.wait()
        total[...] = seen + part

    workers = [threading.Thread(target=add, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return narrow(total if bias is None else total + widen(bias)[:, None, None], problem)


@fault("any thread count")
def rows_left_over_by_threads(right, first, second, bias, problem, options):
    """Wrong only if the rows are not a multiple of the threads: no thread computes the remaining rows."""
    result = right(first, second, bias, problem, options)
    rows = result.shape[2]
    result[:, :, rows - rows % options.threads :] = 0
    return result


@fault("after fork", remembers=True)
def workers_of_another_process():
    """Wrong only after a fork: the child has no worker threads."""
    owner = []

    def run(right, first, second, bias, problem, options):
        owner.append(os.getpid())
        if owner[0] != os.getpid():
            raise RuntimeError("my threads are gone")
        return right(first, second, bias, problem, options)

    return run


@fault("after fork", remembers=True)
def seed_of_the_process():
    """Wrong only after a fork, and for floats: rounds at random, by a seed that differs between processes."""
    owner = []

    def run(right, first, second, bias, problem, options):
        owner.append(os.getpid())
        result = right(first, second, bias, problem, options)
        if owner[0] == os.getpid() or numpy_dtype(problem.dtype).kind in "iu":
            return result
        return np.nextafter(result.real, 0).astype(result.dtype)

    return run


def _in_halves(right, first, second, bias, problem, options, run):
    """Have `run` call two functions, each of which computes all, as if it were half."""
    results = []

    def compute():
        results.append(right(first, second, bias, problem, options))

    run(compute, compute)
    return results[0]


@fault("one thread")
def always_two_threads(right, first, second, bias, problem, options):
    """Starts a second thread for large problems, whatever number is allowed."""
    if problem.macs < 10**6:
        return right(first, second, bias, problem, options)

    def run(one, other):
        helper = threading.Thread(target=one)
        helper.start()
        other()
        helper.join()

    return _in_halves(right, first, second, bias, problem, options, run)


@fault("one thread", remembers=True)
def pool_of_all_cores():
    """Keeps a pool of threads between calls, of a number that it chose at the first."""
    pools = []

    def run(right, first, second, bias, problem, options):
        if problem.macs < 10**6:
            return right(first, second, bias, problem, options)
        if not pools:
            pools.append(concurrent.futures.ThreadPoolExecutor(2))

        def share(one, other):
            waiting = pools[0].submit(one)
            other()
            waiting.result()

        return _in_halves(right, first, second, bias, problem, options, share)

    return run


@fault("one thread")
def one_helper_beside_the_caller(right, first, second, bias, problem, options):
    """Wrong only for one thread: takes the number for that of helpers, and works beside them."""
    if problem.macs < 10**6 or options.threads > 1:
        return right(first, second, bias, problem, options)
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:

        def share(one, other):
            waiting = pool.submit(one)
            other()
            waiting.result()

        return _in_halves(right, first, second, bias, problem, options, share)
