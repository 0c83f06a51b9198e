"""Checks that a result depends on the call's own arguments, whatever was called before."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ...errors import ShapeError
from ...problem import Pair, Problem, with_primitive
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import compute, refused
from ..trial import Trial
from .memory import same_bits
from .sizes import judge_integers

__all__ = ["changed_elements", "many_calls", "primitives_by_turns", "related", "same_shapes"]

Sides = tuple[Pair, Pair]

_STRIDES: tuple[Pair, ...] = ((1, 1), (2, 1), (1, 2), (2, 2), (3, 2))
_DILATIONS: tuple[Pair, ...] = ((2, 1), (1, 2), (2, 2))
_PADDINGS: tuple[Sides, ...] = (
    *(((1, 0), (0, 0)), ((0, 1), (0, 0)), ((0, 0), (1, 0)), ((0, 0), (0, 1))),
    *(((1, 1), (1, 1)), ((0, 0), (0, 0))),
)

#: How many calls are made before the last comparison, unless they take longer than so many seconds.
CALLS, ENOUGH = 1100, 5.0


def related(problem: Problem) -> Iterator[Problem]:
    """Yield problems whose arrays have the shapes of this one, and that differ in one other parameter.

    A problem whose output is smaller than what fits has more of them.

    Examples
    --------
    >>> problem = Problem.parse("forward_n1c2h7w8_k3r3s3_out2x2")
    >>> {one.operand_shapes for one in related(problem)} == {problem.operand_shapes}
    True
    >>> len(list(related(problem)))
    12
    """
    changes: list[dict[str, object]] = [{"stride": stride} for stride in _STRIDES]
    changes += [{"dilation": dilation} for dilation in _DILATIONS]
    (rows, columns) = problem.padding
    paddings = (*_PADDINGS, (rows[::-1], columns), (rows, columns[::-1]), (columns, rows))
    changes += [{"padding": padding} for padding in paddings]
    for change in changes:
        try:
            one = problem.replace(**change, output_size=(0, 0))
        except ShapeError:  # the kernel, dilated, is larger than the image
            continue
        if all(size >= least for size, least in zip(one.output_size, problem.output_size, strict=True)):
            one = one.replace(output_size=problem.output_size)
            if one != problem:
                yield one


def same_shapes(trial: Trial) -> float:
    """Check problems that share all shapes, on the same arrays: each after this one, which comes between."""
    given = operands(trial.problem, trial.seed, "exact")
    ratio = 0.0
    for one in related(trial.problem):
        if refused(trial.backend, one) is not None:
            continue
        for problem in (trial.problem, one):
            result = compute(trial, given, problem)
            what = f"{problem}, among problems of the same shapes"
            ratio = max(ratio, judge_integers(trial._replace(problem=problem), result, given, what))
    return max(ratio, _with_and_without_bias(trial))


def _with_and_without_bias(trial: Trial) -> float:
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    ratio = 0.0
    for one in (given, given._replace(bias=None), given):
        what = "small integers, with and without a bias by turns"
        ratio = max(ratio, judge_integers(trial, compute(trial, one), one, what))
    return ratio


def changed_elements(trial: Trial) -> float:
    """Check that a call sees a single element that changed, wherever it lies, and two that changed places."""
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    ratio = judge_integers(trial, compute(trial, given), given, "small integers")
    for name, array in zip(given._fields, given, strict=True):
        if array is None or not array.size:
            continue
        flat, count = array.reshape(-1), array.size
        for place in dict.fromkeys((count // 2, count // 3, count - 1, 0)):
            flat[place] = 1 if flat[place] != 1 else 2
            what = f"after element {place} of {count} of the operand {name!r} changed"
            ratio = max(ratio, judge_integers(trial, compute(trial, given), given, what))
        one, other = count // 2, (count // 2 + count // 5 + 1) % count
        flat[one], flat[other] = 2, 1
        judge_integers(trial, compute(trial, given), given, "before two elements changed places")
        flat[one], flat[other] = 1, 2
        what = f"after elements {one} and {other} of the operand {name!r} changed places"
        ratio = max(ratio, judge_integers(trial, compute(trial, given), given, what))
        ratio = max(ratio, _turned(trial, given, name))
    return ratio


def _turned(trial: Trial, given: Operands, name: str) -> float:
    """Check the same memory read in another order: by columns, and with its first two axes exchanged."""
    array, ratio = getattr(given, name), 0.0
    for axes in ((2, 3), (0, 1)):
        if array.ndim == 4 and array.shape[axes[0]] == array.shape[axes[1]] > 1:
            one = given._replace(**{name: array.swapaxes(*axes)})
            what = f"the operand {name!r} with axes {axes[0]} and {axes[1]} exchanged, in the same memory"
            ratio = max(ratio, judge_integers(trial, compute(trial, one), one, what))
    return ratio


def primitives_by_turns(trial: Trial) -> float:
    """Check the three primitives of one layer by turns, the results of all of which the caller holds."""
    held: list[tuple[Trial, Operands, Array]] = []
    for repeat in (0, 1):
        for primitive in ("forward", "grad_input", "grad_weight", "forward"):
            problem = with_primitive(trial.problem, primitive)
            if refused(trial.backend, problem) is None:
                one = trial._replace(problem=problem)
                given = operands(problem, trial.seed + repeat, "exact", bias=True)
                held.append((one, given, compute(one, given)))
    ratio = 0.0
    for one, given, result in held:
        what = f"{one.problem}, primitives of one layer by turns"
        ratio = max(ratio, judge_integers(one, result, given, what))
    return ratio


def many_calls(trial: Trial) -> float:
    """Check every result of more than a thousand calls."""
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    first = compute(trial, given)
    ratio = judge_integers(trial, first, given, "small integers")
    start = time.monotonic()
    for call in range(2, CALLS + 1):
        same_bits(trial, compute(trial, given), first, given, f"call {call} with the same operands")
        if time.monotonic() > start + ENOUGH:
            break
    return ratio
