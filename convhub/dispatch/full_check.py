"""Checks each result fully, where the setting ``check`` (``CONVHUB_CHECK=1``) asks for it.

The checks that every call makes cost a microsecond (`convhub.dispatch.invoke`); these cost more than the
call. Each call is made twice, and

- its operands must hold the same bytes as before;
- elements of the result (the corners, some at random, and all where that is little work) must differ from
  recomputed values (see `convhub.reference.samples`) by no more than the backend's accuracy class allows;
- an element whose window holds NaN or an infinity must not be finite;
- the second result must be a new array too, with the same bits, or within the same bound if the backend
  declares that it is not deterministic.

Arrays on a GPU are copied to the host for this, which waits for the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import to_numpy
from ..backend import Accuracy
from ..errors import BackendContractError
from ..problem import Problem
from ..reference.bounds import ACCUMULATORS, bound, ratios
from ..reference.oracle import Exact, Operands
from ..reference.samples import (
    Array,
    Elements,
    Recomputed,
    choose_elements,
    greatest_magnitude,
    largest_magnitude,
    recompute,
)
from .choice import Choice
from .invoke import Operands as Given
from .invoke import invoke, shares_memory
from .queries import accuracy_of

__all__ = ["check", "snapshot"]

#: TF32 keeps 10 bits of a float32's 23.
TF32_FACTOR = 2.0**13

#: Seeds the random elements: they differ from call to call, and repeat when a program is run again.
_calls = itertools.count()


def snapshot(operands: Given) -> Operands:
    """Return copies of the operands on the host."""
    first, second, *bias = operands
    copies = Operands(first, second, bias[0] if bias else None)
    return copies.map(lambda operand: np.array(to_numpy(operand)))


def check(
    choice: Choice, problem: Problem, operands: Given, library: str, before: Operands, result: Any
) -> None:
    """Raise `BackendContractError` if a result is seen to break the contract.

    Parameters
    ----------
    operands : sequence of array or None
        As the caller has them, of `library`.
    before : Operands
        Copies of the operands from before the call.
    """
    wrong = _wrong_elements(choice, problem, before, to_numpy(result))
    if wrong is None:
        second = invoke(choice, problem, operands, library)
        wrong = _changed(problem, operands, before) or _wrong_second(
            choice, problem, library, before, result, second
        )
    if wrong is not None:
        raise BackendContractError(
            f"{choice.registered} ran {problem} and {wrong} (found because check is on; "
            f'`convhub verify "{problem}" --backend {choice.backend.name}` shows more)'
        )


def _changed(problem: Problem, operands: Given, before: Operands) -> str | None:
    names = {
        "forward": ("input", "weight", "bias"),
        "grad_input": ("grad_output", "weight", "bias"),
        "grad_weight": ("grad_output", "input"),
    }[problem.primitive]
    for name, operand, copy in zip(names, operands, before, strict=False):
        if copy is not None:
            index = _first_difference(copy, to_numpy(operand))
            if index is not None:
                return f"changed its operand {name}, at {index}"
    return None


def _wrong_second(
    choice: Choice, problem: Problem, library: str, before: Operands, result: Any, second: Any
) -> str | None:
    if shares_memory(result, second, library):
        return "returned the memory of an earlier result; it must be a new array"
    if not choice.backend.capabilities.deterministic:
        return _wrong_elements(choice, problem, before, to_numpy(second))
    one, other = to_numpy(result), to_numpy(second)
    index = _first_difference(one, other)
    if index is None:
        return None
    return (
        f"returned different bits for the same call: at {index} first {one[index]}, then {other[index]}; it "
        "declares deterministic = True"
    )


def _first_difference(one: Array, other: Array) -> tuple[int, ...] | None:
    """Return the first index at which two arrays of one shape and dtype have different bits, or None."""
    if one.dtype.itemsize > 8 and one.dtype.name in ("float128", "complex256"):
        # Bytes cannot be compared, since six of each long double are padding.
        differing = (one != other) & ~(np.isnan(one) & np.isnan(other))
    else:
        kind = f"V{one.itemsize}"
        differing = np.ascontiguousarray(one).view(kind) != np.ascontiguousarray(other).view(kind)
    if not differing.any():
        return None
    return tuple(int(i) for i in np.argwhere(differing)[0])


# --- elements against recomputed ones ---------------------------------------------------------------------


def _wrong_elements(choice: Choice, problem: Problem, before: Operands, result: Array) -> str | None:
    """Return what is wrong with the worst of the sampled elements, or None."""
    if not result.size:
        return None
    elements = choose_elements(problem, next(_calls))
    found = result[elements]
    with np.errstate(all="ignore"):
        right = recompute(problem, before, elements)
        swallowed = np.isfinite(found) & ~right.finite
        if swallowed.any():
            worst = int(swallowed.argmax())
            return (
                f"returned {found[worst]} at {_place(elements, worst)}, where the result must not be finite, "
                "since its window holds NaN or an infinity"
            )
        accuracy = accuracy_of(choice.registered, problem, choice.options)
        for magnitude in _magnitudes(accuracy, problem, before, right):
            allowed = _allowed(choice, accuracy, problem, before, right._replace(magnitude=magnitude))
            excess = np.where(
                _can_be_wrong(problem, before, right, allowed, found),
                ratios(found, Exact(right.value, right.low, right.magnitude), allowed),
                0,
            )
            if (excess <= 1).all():
                return None
    wrong, worst = np.count_nonzero(excess > 1), int(excess.argmax())
    tolerance = f"within {allowed[worst]:.3g} of" if allowed[worst] else "exactly"
    return (
        f"returned a wrong result: at {_place(elements, worst)} it is {found[worst]}, and "
        f"must be {tolerance} {right.value[worst]}; {wrong} of {len(found)} checked elements "
        f"{'is' if wrong == 1 else 'are'} wrong"
    )


def _magnitudes(accuracy: Accuracy, problem: Problem, before: Operands, right: Recomputed) -> Iterator[Array]:
    """Yield the magnitudes that bound the elements' errors, for normwise results in two steps.

    The largest magnitude of the sampled elements is no larger than that of the whole result, which takes as
    long as the result itself, and is computed only where errors exceed what the former allows.
    """
    if accuracy != "normwise":
        yield right.magnitude
        return
    yield np.full_like(right.magnitude, right.magnitude.max())
    yield np.full_like(right.magnitude, largest_magnitude(problem, before))


def _allowed(
    choice: Choice, accuracy: Accuracy, problem: Problem, before: Operands, right: Recomputed
) -> Array:
    """Return the allowed error of each element."""
    if right.value.dtype.kind in "iu":
        return np.zeros(len(right.value))
    has_bias = before.bias is not None
    declared = choice.backend.capabilities.long_sums
    expected = Exact(right.value, right.low, right.magnitude)
    allowed = bound(problem, expected, accuracy, bias=has_bias, long_sums=declared)
    # The bound ignores underflow, since the suite's data have none: each product may lose this much.
    allowed = allowed + (problem.terms + has_bias) * float(_limits(problem).tiny)
    if choice.options.allow_tf32 and problem.device == "cuda" and problem.dtype in ("float32", "complex64"):
        allowed = allowed * TF32_FACTOR
    return allowed


def _can_be_wrong(
    problem: Problem, before: Operands, right: Recomputed, allowed: Array, found: Array
) -> Array:
    """Return which elements are wrong if they are far from the right value.

    A non-finite element may be right although its window is finite: a NaN elsewhere meets the padding, or
    shares a tile of a transform; or sums come near the largest number of the type.
    """
    known = right.finite & np.isfinite(right.value)
    finite = np.isfinite(found)
    if right.value.dtype.kind in "iu" or finite.all():
        return known
    if not all(operand is None or np.isfinite(operand).all() for operand in before):
        return known & finite
    within = np.abs(right.value) + allowed < _largest(problem.dtype)
    if greatest_magnitude(problem, before) > float(_limits(problem).max) / 1024:
        within = np.zeros_like(within)
    return known & (finite | within)


def _largest(dtype: str) -> float:
    """Return the largest number of a storage type."""
    return 2.0**128 * (1 - 2.0**-8) if dtype == "bfloat16" else float(np.finfo(dtype).max)


def _limits(problem: Problem) -> Any:
    """Return the limits of the type in which sums of `problem` are accumulated."""
    return np.finfo(np.dtype(ACCUMULATORS.get(problem.dtype, problem.dtype)))


def _place(elements: Elements, position: int) -> tuple[int, ...]:
    return tuple(int(axis[position]) for axis in elements)
