"""Faults of threads and callers as they come: counts that do not divide, callers with other problems."""

from __future__ import annotations

import threading
import time

import numpy as np
from conformance.correct.widths import widen

from .faults import fault


def _lost_from(threads):
    def function(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if options.threads >= threads:
            result.reshape(len(result), -1)[..., -1:] = 0
        return result

    return function


for _threads in (4, 6, 16):
    _function = _lost_from(_threads)
    _function.__name__ = f"last_part_lost_from_{_threads}_threads"
    _function.__doc__ = f"Wrong only for {_threads} threads or more: the last one's part is not stored."
    fault("any thread count")(_function)


@fault("any thread count")
def channels_not_divided_by_threads(right, first, second, bias, problem, options):
    """Wrong only if threads do not divide the channels: each takes whole ones, and some are left."""
    result = right(first, second, bias, problem, options)
    channels = np.moveaxis(result, 0 if problem.primitive == "grad_weight" else 1, 0)
    each = len(channels) // options.threads
    if each:
        channels[each * options.threads :] = 0
    return result


@fault("any thread count")
def sums_of_threads_in_half_precision(right, first, second, bias, problem, options):
    """Wrong only with several threads: partial sums pass through float16."""
    result = right(first, second, bias, problem, options)
    if options.threads > 1 and problem.dtype in ("float32", "float64"):
        result = result.astype(np.float16).astype(result.dtype)
    return result


@fault("different callers", remembers=True)
def current_problem_is_global():
    """Keeps the problem of the call in a global variable, which another caller's call replaces."""
    current = {}

    def run(right, first, second, bias, problem, options):
        current["problem"] = problem
        time.sleep(2e-3)  # as long as it takes to pack an operand
        now = current["problem"]
        if (now.operand_shapes, now.primitive, now.dtype) == (
            problem.operand_shapes,
            problem.primitive,
            problem.dtype,
        ):
            return right(first, second, bias, now, options)
        result = right(first, second, bias, problem, options)
        result[...] = 0
        return result

    return run


@fault("different callers", remembers=True)
def operand_lock_is_of_the_first_caller():
    """Marks an operand as in use while it is packed, and a second caller takes the mark for a packed one."""
    packing, lock = set(), threading.Lock()

    def run(right, first, second, bias, problem, options):
        with lock:
            in_use = id(first) in packing
            packing.add(id(first))
        time.sleep(2e-3)
        result = right(first, second, bias, problem, options)
        with lock:
            packing.discard(id(first))
        return result + result if in_use and np.any(widen(result)) else result

    return run
