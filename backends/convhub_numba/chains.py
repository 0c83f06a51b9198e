"""Limits how many terms are added one after another before their sum is added to others.

Numbers that are all alike are where additions err most: each rounds the same way as the one before, so that a
chain of n of them may be off by eps/8 of its result for each, where independent errors would make a few times
√n. What is promised is (8 + √n) eps (`convhub.reference.bounds`). So long sums are made of blocks, and of
groups of blocks where these may be many; both depend on the problem and the vector's length alone.
"""

from __future__ import annotations

import math

__all__ = ["block", "chain", "group"]

#: The largest part of the bound that one chain may take is three quarters: this many eights of it.
OF_THE_BOUND = 6
#: The fewest block sums that are added before they are added to the total.
LEAST_GROUP = 32


def chain(terms: int, most: int) -> int:
    """Return how many of `terms` terms to add one after another: `most`, which is fastest, where it may be.

    Examples
    --------
    >>> chain(576, 320), chain(10**6, 320)
    (192, 320)
    """
    return min(most, OF_THE_BOUND * (8 + math.isqrt(terms)))


def block(terms: int, most: int) -> int:
    """Return the same where the sums of blocks are added one after another too: not too few terms either.

    Examples
    --------
    >>> block(10**6, 128)
    333
    """
    return max(chain(terms, most), math.isqrt(terms) // 3)


def group(blocks: int, terms: int) -> int:
    """Return how many sums of blocks to add one after another: all, unless these are too many.

    Examples
    --------
    >>> group(40, 10**6), group(10**6, 10**6)
    (40, 1000)
    """
    if blocks <= OF_THE_BOUND * (8 + math.isqrt(terms)) // 2:
        return max(1, blocks)
    return max(LEAST_GROUP, math.isqrt(blocks))
