"""Limits how many terms are added one after another before their sum is added to others.

Additions err most where all numbers are alike: each rounds the same way as the one before, so that a chain of
n terms may be off by n·eps/8 of its result, where independent errors would add up to a few times √n·eps. The
promised bound is (8 + √n) eps (`convhub.reference.bounds`). So long sums are made of blocks, and of groups of
blocks where there may be many; both depend only on the problem and the vector's length.
"""

from __future__ import annotations

import math

__all__ = ["RUN", "SHORT_CHAIN", "block", "chain", "group"]

SHORT_CHAIN = 64  # terms that several kernels add one after another, so that rounding errors stay small
RUN = 128  # terms that plain loops add one after another; as many such sums are added up next

#: One chain may take at most this many eighths of the bound: three quarters.
OF_THE_BOUND = 6
#: The fewest block sums that are added up before their sum is added to the total.
LEAST_GROUP = 32


def chain(terms: int, most: int) -> int:
    """Return how many of `terms` terms to add one after another: the fastest, `most`, if the bound allows.

    Examples
    --------
    >>> chain(576, 320), chain(10**6, 320)
    (192, 320)
    """
    return min(most, OF_THE_BOUND * (8 + math.isqrt(terms)))


def block(terms: int, most: int) -> int:
    """Return the same, but not too few terms, where the sums of blocks are added one after another too.

    Examples
    --------
    >>> block(10**6, 128)
    333
    """
    return max(chain(terms, most), math.isqrt(terms) // 3)


def group(blocks: int, terms: int) -> int:
    """Return how many sums of blocks to add one after another: all, unless there are too many.

    Examples
    --------
    >>> group(40, 10**6), group(10**6, 10**6)
    (40, 1000)
    """
    if blocks <= OF_THE_BOUND * (8 + math.isqrt(terms)) // 2:
        return max(1, blocks)
    return max(LEAST_GROUP, math.isqrt(blocks))
