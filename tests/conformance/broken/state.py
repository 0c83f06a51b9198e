"""Faults of what is kept between calls: stale scratch, buffers handed out twice, weights packed once."""

from __future__ import annotations

import itertools

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault


@fault("no stale state", "every element", remembers=True)
def stale_scratch():
    """Adds to a buffer that still holds the result of the previous call."""
    buffers = {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        buffers[problem] = buffers.get(problem, 0) * result.dtype.type(1) + result
        return narrow(buffers[problem].copy(), problem)

    return run


@fault("no stale state", remembers=True)
def result_handed_out_twice():
    """Returns the same buffer at each call of a problem, and so changes a result that the caller has."""
    buffers = {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        buffer = buffers.setdefault(problem, result)
        buffer[...] = result
        return buffer

    return run


@fault("positive data", "exact integers", remembers=True)
def operand_packed_once():
    """Keeps the second operand of the first call of a problem."""
    packed = {}

    def run(right, first, second, bias, problem, options):
        return right(first, packed.setdefault(problem, second.copy()), bias, problem, options)

    return run


@fault("no stale state", remembers=True)
def operand_packed_by_address():
    """Keeps the second operand by its address, and does not notice that its numbers have changed."""
    packed = {}

    def run(right, first, second, bias, problem, options):
        address = (second.ctypes.data, problem)
        if second.flags.owndata:
            second = packed.setdefault(address, (second, second.copy()))[1]
        return right(first, second, bias, problem, options)

    return run


@fault("positive data", remembers=True)
def second_call_wrong():
    """Wrong only at the second call of a problem."""
    calls = {}

    def run(right, first, second, bias, problem, options):
        calls[problem] = calls.get(problem, 0) + 1
        result = right(first, second, bias, problem, options)
        return result + result.dtype.type(1) if calls[problem] == 2 else result

    return run


@fault("positive data", "no stale state", on=("forward", "grad_input"), remembers=True)
def plan_keeps_the_first_bias():
    """Plans the first call of a problem, and remembers whether that had a bias."""
    plans = {}

    def run(right, first, second, bias, problem, options):
        fused = plans.setdefault(problem, bias is not None)
        return right(first, second, bias if fused else None, problem, options)

    return run


@fault("no stale state", on=("grad_weight",), remembers=True)
def nan_stays_in_the_accumulator():
    """Clears its accumulator by multiplying by zero, which NaN survives."""
    accumulators = {}

    def run(right, dy, x, bias, problem, options):
        result = right(dy, x, bias, problem, options)
        cleared = accumulators.get(problem, np.zeros_like(result)) * result.dtype.type(0)
        accumulators[problem] = cleared + result
        return accumulators[problem].copy()

    return run


@fault("no stale state", "every element", remembers=True)
def order_of_sums_changes():
    """Wrong only for floats: sums in an order that differs from call to call, without declaring it."""
    count = itertools.count()

    def run(right, first, second, bias, problem, options):
        # Halves hold zeros, which times infinity are NaN.
        if problem.dtype not in ("float32", "float64") or not np.isfinite(first).all():
            return right(first, second, bias, problem, options)
        return narrow(_split(right, first, second, bias, problem, options, next(count)), problem)

    return run


def _split(right, first, second, bias, problem, options, seed):
    """Return the sum of two halves of the products, dealt out by a seed."""
    half = np.random.default_rng(seed).random(second.shape) < 0.5
    zero = np.zeros_like(second)
    total = right(first, np.where(half, second, zero), None, problem, options)
    total = total + right(first, np.where(half, zero, second), None, problem, options)
    return total if bias is None else widen(total) + widen(bias)[:, None, None]


@fault("small workspace")
def workspace_needed(right, first, second, bias, problem, options):
    """Wrong only with less than a mebibyte of workspace: leaves out the block that does not fit."""
    result = right(first, second, bias, problem, options)
    if options.workspace_limit < 2**20:
        result[-1:] = 0
    return result


@fault("small workspace")
def workspace_of_nothing_refused(right, first, second, bias, problem, options):
    """Fails only without any workspace: divides by the number of rows that fit."""
    _ = 1 // options.workspace_limit
    return right(first, second, bias, problem, options)
