"""Checks that a backend respects memory: views of any layout, operands unchanged, every element written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...arrays import numpy_dtype
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import compute, registered, settings
from ..problems.layouts import BUILDERS, View, broadcast, broadcast_values
from ..trial import CheckFailure, Trial
from .numbers import judge
from .poison import poisoned_memory

__all__ = [
    "any_layout",
    "every_element",
    "no_stale_state",
    "same_bits",
    "small_workspace",
    "unchanged_operands",
]

#: Layouts that arrays on a GPU cannot have, since CuPy and torch do not support them.
CPU_ONLY = ("unaligned", "read-only")


def any_layout(trial: Trial) -> float:
    """Check that views of any layout, read-only ones too, give the right result and stay unchanged."""
    given = operands(trial.problem, trial.seed, bias=True)
    ratio = 0.0
    for layout, build in BUILDERS.items():
        if layout in CPU_ONLY and trial.problem.device != "cpu":
            continue
        result = _compute_on_views(trial, given, layout, build)
        ratio = max(ratio, judge(trial, result, given, f"operands of layout {layout!r}"))
    if trial.problem.device == "cpu":
        # One operand at a time: sums of equal products would always round in the same direction.
        for name in ("first", "second"):
            repeated = given._replace(**{name: broadcast_values(getattr(given, name))})
            laid_out = repeated._replace(**{name: broadcast(getattr(repeated, name)).array})
            ratio = max(ratio, judge(trial, compute(trial, laid_out), repeated, f"{name} operand broadcast"))
    return ratio


def unchanged_operands(trial: Trial) -> None:
    """Check that operands hold the same bytes after the call, NaN and negative zero included."""
    given = operands(trial.problem, trial.seed, bias=True)
    if numpy_dtype(trial.problem.dtype).kind not in "iu":
        given = given.map(_with_special_values)
    _compute_on_views(trial, given, "contiguous", BUILDERS["contiguous"])


def _with_special_values(array: Array) -> Array:
    if array.size:
        array.flat[0], array.flat[-1] = array.dtype.type(np.nan), array.dtype.type(-0.0)
    return array


def _compute_on_views(trial: Trial, given: Operands, layout: str, build: Callable[[Array], View]) -> Array:
    """Compute on operands of a layout, and compare the bytes of their buffers before and after."""
    views: list[View] = []

    def view_of(array: Array) -> Array:
        views.append(build(array))
        return views[-1].array

    laid_out = given.map(view_of)
    before = [view.buffer.tobytes() for view in views]
    result = compute(trial, laid_out)
    for view, bytes_before in zip(views, before, strict=True):
        if view.buffer.tobytes() != bytes_before:
            name = next(n for n, o in zip(laid_out._fields, laid_out, strict=True) if o is view.array)
            raise CheckFailure(trial, f"the operand {name!r}, of layout {layout!r}, was changed by the call")
    return result


def every_element(trial: Trial) -> float:
    """Check that garbage in memory before the call shows in no element of the result."""
    given = operands(trial.problem, trial.seed, bias=True)
    first = compute(trial, given)
    with poisoned_memory(trial.problem, trial.problem.device):
        second = compute(trial, given)
    ratio = judge(trial, second, given, "memory full of garbage before the call")
    same_bits(trial, second, first, given, "memory full of garbage before the call")
    return ratio


def no_stale_state(trial: Trial) -> float:
    """Check that a call sees its operands as they are now, whatever was called before, and gives equal bits.

    The caller refills the same arrays: first with other operands, then with NaN, then with the ones compared.
    Earlier results must stay unchanged.
    """
    given = operands(trial.problem, trial.seed, bias=True)
    held = operands(trial.problem, trial.seed + 1, bias=True)
    earlier = compute(trial, held._replace(bias=None))
    as_it_was = earlier.copy()
    if numpy_dtype(trial.problem.dtype).kind not in "iu":
        for array in _arrays(held):
            array.fill(np.nan)
        compute(trial, held)
    for array, values in zip(_arrays(held), _arrays(given), strict=True):
        array[...] = values
    result = compute(trial, held)
    ratio = judge(trial, result, given, "operands in place of others, and of NaN, in the same arrays")
    same_bits(trial, compute(trial, given), result, given, "the same call once more")
    if _differing(earlier, as_it_was).any():
        raise CheckFailure(trial, "a result that the caller holds was changed by a later call")
    return ratio


def _arrays(given: Operands) -> list[Array]:
    return [array for array in given if array is not None]


def small_workspace(trial: Trial) -> float:
    """Check that the result is right however little memory is allowed beyond the arrays."""
    given = operands(trial.problem, trial.seed, bias=True)
    ratio = 0.0
    # Without any memory a backend may go element by element, which is slow on all but small problems.
    for limit in ("0", "64 KiB") if trial.problem.macs <= 10**5 else ("64 KiB",):
        with settings(workspace_limit=limit):
            ratio = max(ratio, judge(trial, compute(trial, given), given, f"workspace_limit = {limit!r}"))
    return ratio


def same_bits(trial: Trial, result: Array, expected: Array, given: Operands, what: str) -> None:
    """Raise `CheckFailure` unless two results have the same bits.

    If the backend declares ``deterministic=False``, the result must be within the bound instead.
    """
    if not registered(trial.backend).backend.capabilities.deterministic:
        judge(trial, result, given, what)
        return
    different = _differing(result, expected)
    if not different.any():
        return
    try:
        judge(trial, result, given, what)
    except CheckFailure as failure:  # no other order of adding, so another declaration would not help
        raise CheckFailure(
            trial,
            f"{failure.what}; an equal call gave another result: calls share what each must have for itself",
            failure.ratio,
        ) from failure
    raise CheckFailure(
        trial,
        f"{what}: {different.sum()} of {different.size} elements have other bits than before, and are within "
        "the bound; a backend that adds in another order every time declares deterministic=False",
    )


def _differing(one: Array, other: Array) -> Array:
    if one.dtype.name in ("float128", "complex256"):
        # Bytes cannot be compared, since six of each long double are padding.
        return np.asarray((one != other) & ~(np.isnan(one) & np.isnan(other)))
    return np.asarray(one.view(f"V{one.itemsize}") != other.view(f"V{other.itemsize}"))
