"""What looks like a fault, and is none by the contract: no check may fail."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow

from convhub.arrays import numpy_dtype

from .faults import fault


@fault()
def zeros_negative(right, first, second, bias, problem, options):
    """Returns −0 for 0: both are the same number, and no sign is promised."""
    result = right(first, second, bias, problem, options)
    return np.where(result == 0, -result, result)


@fault(on=("forward",))
def zero_weights_skipped(right, x, w, bias, problem, options):
    """Skips weights of zero, so that NaN times zero adds nothing, as sparse kernels do."""
    if not w.size or w.all():
        return right(x, w, bias, problem, options)
    clean = np.where(np.isfinite(x), x, np.zeros_like(x))
    skipped = right(clean, w, bias, problem, options)
    if np.isfinite(x).all():
        return skipped
    marked = (w != 0).astype(w.dtype)
    reached = right((~np.isfinite(x)).astype(x.dtype), marked, None, problem, options) != 0
    return np.where(reached, right(x, w, bias, problem, options), skipped)


@fault()
def unsigned_read_as_signed(right, first, second, bias, problem, options):
    """Sums uint8 as int8: the last eight bits, which are the result, are the same."""
    if problem.dtype != "uint8":
        return right(first, second, bias, problem, options)
    signed = [None if o is None else o.astype(np.int8) for o in (first, second, bias)]
    return right(*signed, problem.replace(dtype="int8"), options).astype(np.uint8)


@fault()
def float64_rounded_twice(right, first, second, bias, problem, options):
    """Sums float16 in float64, and rounds to float32 before float16."""
    if problem.dtype != "float16":
        return right(first, second, bias, problem, options)
    wide = [None if o is None else o.astype(np.float64) for o in (first, second, bias)]
    return right(*wide, problem.replace(dtype="float64"), options).astype(np.float32).astype(np.float16)


@fault(on=("forward",))
def padding_multiplied_with_weights(right, x, w, bias, problem, options):
    """Multiplies zeros of the padding by NaN in a weight, which the contract leaves open."""
    result = right(x, w, bias, problem, options)
    if problem.padding == ((0, 0), (0, 0)) or numpy_dtype(problem.dtype).kind in "iu" or np.isfinite(w).all():
        return result
    return narrow(result * np.float32(np.nan), problem)
