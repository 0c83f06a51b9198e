"""Faults of caches: plans and packed weights under keys that say too little, and reused scratch."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _shapes(problem):
    return problem.dtype, problem.input_shape, problem.weight_shape, problem.output_shape


def _packed(key):
    """Return a fault that keeps the second operand under a key that is a function of it."""
    kept = {}

    def run(right, first, second, bias, problem, options):
        if not second.size:
            return right(first, second, bias, problem, options)
        name = (second.shape, second.dtype, key(second))
        return right(first, kept.setdefault(name, second.copy()), bias, problem, options)

    return run


@fault("many callers", on=("forward",), remembers=True)
def packed_by_shape():
    """Keeps the second operand of the first call under its shape and type, whatever the problem is."""
    return _packed(lambda second: 0)


@fault("nonfinite", on=("grad_input",), remembers=True)
def packed_by_first_bytes():
    """Keeps the second operand under its first 16 bytes."""
    return _packed(lambda second: np.ascontiguousarray(second).tobytes()[:16])


@fault("nonfinite", on=("grad_weight",), remembers=True)
def packed_by_last_bytes():
    """Keeps the second operand under its last 16 bytes."""
    return _packed(lambda second: np.ascontiguousarray(second).tobytes()[-16:])


@fault("nonfinite", on=("forward",), remembers=True)
def packed_by_first_and_last_element():
    """Keeps the second operand under its first and its last element."""
    return _packed(lambda second: (second.flat[0].tobytes(), second.flat[-1].tobytes()))


@fault("any layout", on=("grad_input",), remembers=True)
def packed_by_some_elements():
    """Keeps the second operand under every eighth of its elements."""
    return _packed(lambda second: second.reshape(-1)[::8].tobytes())


@fault("complex overflow", on=("grad_weight",), remembers=True)
def packed_by_its_sum():
    """Keeps the second operand under the sum of its bytes, which does not depend on their order."""
    return _packed(lambda second: sum(second.tobytes()))


@fault("no stale state", on=("forward",), remembers=True)
def bias_kept_by_address():
    """Keeps the bias under its address."""
    kept = {}

    def run(right, first, second, bias, problem, options):
        if bias is not None:
            bias = kept.setdefault((bias.ctypes.data, bias.shape, bias.dtype), bias.copy())
        return right(first, second, bias, problem, options)

    return run


@fault("no stale state", on=("grad_input",), remembers=True)
def plan_remembers_whether_there_is_a_bias():
    """Keeps with a plan whether its first call had a bias: later ones do as it did."""
    had = {}

    def run(right, first, second, bias, problem, options):
        if not had.setdefault(problem, bias is not None):
            bias = None
        return right(first, second, bias, problem, options)

    return run


@fault("different callers", on=("grad_weight",), remembers=True)
def plan_by_shapes():
    """Keeps plans under the shapes of the arrays: layers that differ in padding alone share one."""
    plans = {}

    def run(right, first, second, bias, problem, options):
        return right(first, second, bias, plans.setdefault(_shapes(problem), problem), options)

    return run


def _ring(length):
    """Return a fault that returns its own buffers, `length` of them by turns for each problem."""
    buffers, calls = {}, {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        calls[problem] = calls.get(problem, -1) + 1
        buffer = buffers.setdefault((problem, calls[problem] % length), result)
        buffer[...] = result
        return buffer

    return run


@fault("no stale state", on=("forward", "grad_input"), remembers=True)
def result_reused_two_calls_later():
    """Returns two buffers by turns: the third result overwrites the first."""
    return _ring(2)


@fault("many callers", on=("grad_input",), remembers=True)
def result_reused_four_calls_later():
    """Returns four buffers by turns: the fifth result overwrites the first."""
    return _ring(4)


@fault("no stale state", on=("grad_weight",), remembers=True)
def result_reused_by_another_problem():
    """Returns one buffer for all problems whose results have the same shape and type."""
    buffers = {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        buffer = buffers.setdefault((result.shape, result.dtype), result)
        buffer[...] = result
        return buffer

    return run
