"""Faults that depend on how often, or with what, the backend was called before."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _later(number, *, by_problem=True):
    """Return a fault that is wrong at a call of this number, and all later ones."""
    calls = {}

    def run(right, first, second, bias, problem, options):
        key = problem if by_problem else None
        calls[key] = calls.get(key, 0) + 1
        result = right(first, second, bias, problem, options)
        if calls[key] >= number:
            result[..., -1:] *= 2
        return result

    return run


@fault("no stale state", on=("forward",), remembers=True)
def wrong_from_the_fourth_call():
    """Wrong only from the fourth call of a problem: by then a faster kernel has been compiled."""
    return _later(4)


@fault("no stale state", on=("grad_input",), remembers=True)
def wrong_from_the_eleventh_call():
    """Wrong only from the eleventh call of a problem: ten calls choose between algorithms."""
    return _later(11)


@fault("any thread count", on=("grad_weight",), remembers=True)
def wrong_from_call_33():
    """Wrong only from the 33rd call of a problem: a pool of 32 buffers is used up."""
    return _later(33)


@fault("many calls", on=("grad_input",), remembers=True)
def wrong_from_call_300_of_all():
    """Wrong only from the 300th call of any problem: handles are never given back."""
    return _later(300, by_problem=False)


@fault("no stale state", on=("forward",), remembers=True)
def every_seventh_call_wrong():
    """Wrong only at every seventh call: one stream of seven is not waited for."""
    calls = [0]

    def run(right, first, second, bias, problem, options):
        calls[0] += 1
        result = right(first, second, bias, problem, options)
        if calls[0] % 7 == 0:
            result[..., -1:] = 0
        return result

    return run


@fault("random data", on=("grad_input",), remembers=True)
def first_call_of_a_type_wrong():
    """Wrong only at the first call of each type: a table is filled after it was read."""
    seen = set()

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if problem.dtype not in seen:
            result *= 0
        seen.add(problem.dtype)
        return result

    return run


@fault("many callers", on=("grad_weight",), remembers=True)
def wrong_after_an_empty_batch():
    """Wrong only in the call after one of an empty batch: its state is not set back."""
    empty = [False]

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if empty[0]:
            result *= 2
        empty[0] = problem.batch == 0
        return result

    return run


@fault("many callers", on=("forward",), remembers=True)
def wrong_after_another_problem():
    """Wrong only when a problem returns after another: the pointer to the plan is not set back."""
    state = {"last": None, "seen": set()}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if problem in state["seen"] and state["last"] != problem:
            result = result + result
        state["seen"].add(problem)
        state["last"] = problem
        return result

    return run


@fault("any thread count", on=("grad_input",), remembers=True)
def wrong_after_more_threads():
    """Wrong only in a call with fewer threads than the one before: parts of the others are still added."""
    threads = [0]

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if options.threads < threads[0]:
            result = result + result
        threads[0] = options.threads
        return result

    return run


@fault("any thread count", on=("grad_weight",), remembers=True)
def wrong_with_more_threads_than_at_first():
    """Wrong only with more threads than the first call had: partial sums have that many places."""
    threads = []

    def run(right, first, second, bias, problem, options):
        threads.append(options.threads)
        result = right(first, second, bias, problem, options)
        if options.threads > threads[0]:
            result[..., -1] = 0
        return result

    return run


@fault("no stale state", on=("forward",), remembers=True)
def end_of_scratch_times_zero():
    """Wrong only after a call with NaN or infinity: what it left behind a row is multiplied by zero."""
    spoilt = [False]

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if result.dtype.kind in "iu":
            return result
        if spoilt[0] and np.isfinite(first).all() and np.isfinite(second).all():
            result[..., -1:] = np.nan
        spoilt[0] = not np.isfinite(np.asarray(first, first.dtype)).all()
        return result

    return run


@fault("no stale state", on=("grad_input",), remembers=True)
def wrong_after_an_error():
    """Wrong only after a call that had a NaN: an error flag stays set, and columns are skipped."""
    failed = [False]

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if result.dtype.kind in "iu":
            return result
        if failed[0]:
            result[..., :1] = 0
        failed[0] = bool(np.isnan(result).any())
        return result

    return run
