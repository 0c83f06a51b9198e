"""Checks operands that lie in memory in unusual ways, each alone, and results equal to an operand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...reference.operands import fill, generator, operands
from ...reference.oracle import Array, Operands
from ..calls import caller_library, compute
from ..problems.layouts import BUILDERS
from ..trial import CheckFailure, Skip, Trial
from .sizes import judge_integers

__all__ = ["each_axis", "one_array_twice", "own_result"]


def each_axis(trial: Trial) -> float:
    """Check views of one operand at a time: each axis reversed, each layout, and overlapping windows."""
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    ratio = 0.0
    for name in given._fields:
        array = getattr(given, name)
        if array is None:
            continue
        for what, view in _views(trial, name, array):
            one = given._replace(**{name: view})
            before = view.tobytes()
            result = compute(trial, one)
            ratio = max(ratio, judge_integers(trial, result, one, f"{name} operand {what}"))
            if view.tobytes() != before:
                raise CheckFailure(trial, f"the operand {name!r}, {what}, was changed by the call")
    return ratio


def _views(trial: Trial, name: str, array: Array) -> Iterator[tuple[str, Array]]:
    """Yield views with the numbers of an array, or on the CPU with others, and what they are."""
    for axis in range(array.ndim):
        flipped = np.ascontiguousarray(np.flip(array, axis))
        yield f"reversed along axis {axis}", np.flip(flipped, axis)
        if trial.problem.device == "cpu":
            wide = np.repeat(array, 2, axis)
            yield f"every second along axis {axis}", wide[(slice(None),) * axis + (slice(None, None, 2),)]
    if trial.problem.device != "cpu":
        return
    for layout in ("Fortran order", "channels last", "unaligned"):
        yield f"of layout {layout!r}", BUILDERS[layout](array).array
    yield "of overlapping windows", _overlapping(trial, name, array)


def _overlapping(trial: Trial, name: str, array: Array) -> Array:
    """Return a view in which each step along any axis is one, two, ... elements, so that rows overlap."""
    steps = range(array.ndim, 0, -1)
    length = 1 + sum(step * max(0, size - 1) for step, size in zip(steps, array.shape, strict=True))
    rng = generator(trial.problem, trial.seed, f"overlapping {name}")
    buffer = fill(rng, (length,), trial.problem.dtype, "exact")
    strides = [step * buffer.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(buffer, array.shape, strides, writeable=False)


def one_array_twice(trial: Trial) -> float:
    """Check one array as both operands."""
    first, second = trial.problem.operand_shapes
    if first != second:
        raise Skip("the operands have different shapes")
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    twice = given._replace(second=given.first)
    return judge_integers(trial, compute(trial, twice), twice, "one array as both operands")


def own_result(trial: Trial) -> float:
    """Check that a result has memory of its own, even where it is equal to an operand."""
    given = _with_identity(trial)
    expected = given.map(np.copy)
    result = compute(trial, given)
    ratio = judge_integers(trial, result, expected, "a result that is equal to an operand")
    if caller_library(trial) != "numpy":
        return ratio
    for name, array in zip(given._fields, given, strict=True):
        if array is not None and np.shares_memory(result, array):
            raise CheckFailure(trial, f"the result shares memory with the operand {name!r}")
    if not (result.flags.writeable and result.flags.c_contiguous):
        raise CheckFailure(trial, "the result is not a new array that is C contiguous and can be written to")
    for array in given:
        if array is not None:
            array[...] = 1
    what = "a result that the caller holds, after the operands changed"
    return max(ratio, judge_integers(trial, result, expected, what))


def _with_identity(trial: Trial) -> Operands:
    """Return operands of a pointwise problem, one of which leaves the other as it is."""
    given = operands(trial.problem, trial.seed, "exact")
    if trial.problem.primitive == "grad_weight":
        given.first[...] = 1
    else:
        given.second[...] = np.eye(given.second.shape[0], given.second.shape[1])[:, :, None, None]
    return given
