"""Searches for the smallest problem that still fails, from one that does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..problem import Problem
from .problems.cases import fit

__all__ = ["smaller", "smallest"]


class _Sizes(NamedTuple):
    """What makes a problem large or complicated; channels are those of a group."""

    batch: int
    groups: int
    in_channels: int
    out_channels: int
    kernel_rows: int
    kernel_columns: int
    output_rows: int
    output_columns: int
    stride_rows: int
    stride_columns: int
    dilation_rows: int
    dilation_columns: int
    top: int
    bottom: int
    left: int
    right: int
    unused_rows: int = 0
    unused_columns: int = 0


#: The least of each.
_LEAST = _Sizes(*[1] * 12, *[0] * 6)


Fails = Callable[[Problem], bool]
Clock = Callable[[], float]


def smallest(problem: Problem, fails: Fails, seconds: float, clock: Clock = time.monotonic) -> Problem:
    """Return the smallest problem found that fails, as this one does.

    Each size is made as small as it can be while the others stay, the largest steps first, until none can be
    made smaller, or time is up.

    Parameters
    ----------
    fails : callable
        Returns whether a problem fails.
    seconds : float
        When the search ends; a call of `fails` is not interrupted.

    Examples
    --------
    >>> problem = Problem.parse("forward_n3c8h9w9_k6r3s3_pad1x1_groups2")
    >>> print(smallest(problem, lambda one: one.kernel_size[0] > 1 and one.batch > 1, seconds=1))
    forward_float32_n2c1h2w1_k1r2s1
    """
    end = clock() + seconds
    found = True
    while found:
        found = False
        for one in smaller(problem):
            if clock() >= end:
                return problem
            if fails(one):
                problem, found = one, True
                break
    return problem


def smaller(problem: Problem) -> Iterator[Problem]:
    """Yield problems of which one size is smaller than in this one: the least first, half, and one less."""
    sizes = _sizes(problem)
    for name, value, least in zip(_Sizes._fields, sizes, _LEAST, strict=True):
        for size in dict.fromkeys((least, (value + least) // 2, value - 1)):
            if least <= size < value:
                yield _of(problem, sizes._replace(**{name: size}))


def _sizes(problem: Problem) -> _Sizes:
    sizes = _Sizes(
        problem.batch,
        problem.groups,
        problem.in_channels // problem.groups,
        problem.out_channels // problem.groups,
        *problem.kernel_size,
        *problem.output_size,
        *problem.stride,
        *problem.dilation,
        *problem.padding[0],
        *problem.padding[1],
    )
    needed = _of(problem, sizes).input_size
    rows, columns = (size - least for size, least in zip(problem.input_size, needed, strict=True))
    return sizes._replace(unused_rows=rows, unused_columns=columns)


def _of(problem: Problem, sizes: _Sizes) -> Problem:
    return fit(
        primitive=problem.primitive,
        dtype=problem.dtype,
        device=problem.device,
        batch=sizes.batch,
        groups=sizes.groups,
        in_channels=sizes.groups * sizes.in_channels,
        out_channels=sizes.groups * sizes.out_channels,
        kernel_size=(sizes.kernel_rows, sizes.kernel_columns),
        stride=(sizes.stride_rows, sizes.stride_columns),
        dilation=(sizes.dilation_rows, sizes.dilation_columns),
        padding=((sizes.top, sizes.bottom), (sizes.left, sizes.right)),
        output_size=(sizes.output_rows, sizes.output_columns),
        unused=(sizes.unused_rows, sizes.unused_columns),
    )
