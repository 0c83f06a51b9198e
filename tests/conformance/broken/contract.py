"""Faults of form: a result of the wrong type, shape or layout, or a refusal that comes too late."""

from __future__ import annotations

import numpy as np

from .faults import fault

#: Each is refused where the backend is called, so that every check sees it.
ANY = ("random data", "public functions")


@fault(*ANY)
def result_too_wide(right, first, second, bias, problem, options):
    """Wrong only for float32: returns the float64 in which it sums."""
    result = right(first, second, bias, problem, options)
    return result.astype(np.float64) if problem.dtype == "float32" else result


@fault(*ANY)
def result_in_fortran_order(right, first, second, bias, problem, options):
    """Returns a result whose first index runs fastest."""
    return np.asfortranarray(right(first, second, bias, problem, options))


@fault(*ANY)
def result_in_channels_last(right, first, second, bias, problem, options):
    """Returns a view of a result whose channels lie together."""
    result = right(first, second, bias, problem, options)
    return np.ascontiguousarray(result.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@fault(*ANY)
def result_is_part_of_a_larger_one(right, first, second, bias, problem, options):
    """Returns a view of a padded buffer."""
    result = right(first, second, bias, problem, options)
    return np.pad(result, ((0, 0), (0, 0), (0, 0), (0, 8)))[..., : result.shape[3]]


@fault(*ANY)
def result_read_only(right, first, second, bias, problem, options):
    """Returns an array that cannot be written."""
    result = right(first, second, bias, problem, options)
    result.flags.writeable = False
    return result


@fault(*ANY)
def batch_of_one_squeezed(right, first, second, bias, problem, options):
    """Wrong only for a single image, or one output channel: returns three dimensions."""
    result = right(first, second, bias, problem, options)
    return result[0] if len(result) == 1 else result


@fault("random data", "exact integers", on=("forward",))
def output_size_recomputed(right, x, w, bias, problem, options):
    """Wrong only for fewer outputs than fit: returns as many as fit."""
    return right(x, w, bias, problem.replace(output_size=(0, 0)), options)


@fault("random data", "exact integers", on=("grad_input", "grad_weight"))
def result_as_large_as_was_reached(right, first, second, bias, problem, options):
    """Wrong only if pixels or outputs are left over: returns a result without them."""
    result = right(first, second, bias, problem, options)
    full = problem.replace(output_size=(0, 0)).output_size
    return result[..., :-1, :] if full != problem.output_size else result


@fault(*ANY)
def result_is_a_list(right, first, second, bias, problem, options):
    """Returns nested lists."""
    return right(first, second, bias, problem, options).tolist()


@fault("random data", "torch tensors")
def groups_refused_when_called(right, first, second, bias, problem, options):
    """Declares groups, and raises when it gets some."""
    if problem.groups > 1:
        raise NotImplementedError("groups")
    return right(first, second, bias, problem, options)


@fault("random data")
def declared_dtype_refused(right, first, second, bias, problem, options):
    """Declares bfloat16, and raises when it gets some."""
    if problem.dtype == "bfloat16":
        raise TypeError("bfloat16")
    return right(first, second, bias, problem, options)
