"""Combines the values of factors so that every few of them meet: a covering design, made greedily."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["covering", "meetings"]

#: A value of a factor: the factor's name, and the place of the value in its sequence.
Level = tuple[str, int]


def covering(
    factors: Mapping[str, Sequence[Any]],
    strength: int = 2,
    possible: Callable[[dict[str, Any]], bool] = lambda row: True,
) -> Iterator[dict[str, Any]]:
    """Yield rows in which any `strength` values of different factors meet at least once.

    Each row starts from values that have not met, and takes for every other factor the value that adds the
    most new meetings (Cohen et al., *The AETG system: an approach to testing based on combinatorial design*,
    1997). The rows are far fewer than the full product.

    Parameters
    ----------
    possible : callable
        Returns whether some row may have the values of a part of a row. Values that cannot meet are left out.

    Examples
    --------
    >>> len(list(covering({"a": "xyz", "b": "xyz", "c": "xyz", "d": "xyz"}))) <= 13
    True
    >>> list(covering({"a": "xy", "b": "xy"}, possible=lambda row: row != {"a": "x", "b": "x"}))
    [{'a': 'x', 'b': 'y'}, {'a': 'y', 'b': 'x'}, {'a': 'y', 'b': 'y'}]
    """
    names = list(factors)

    def values(levels: Mapping[str, int]) -> dict[str, Any]:
        return {name: factors[name][levels[name]] for name in names if name in levels}

    # A dictionary keeps the order, so that the rows are the same every time; a set of tuples would not.
    missing = dict.fromkeys(m for m in meetings(factors, strength) if possible(values(dict(m))))
    while missing:
        row = dict(next(iter(missing)))
        for name in names:
            if name in row:
                continue
            known = _in_order(row, names)
            # The best value that is possible: some row has it, or the first meeting were not possible.
            ranked = sorted(
                range(len(factors[name])),
                key=lambda level: -_new(missing, known, (name, level), names, strength),
            )
            row[name] = next(level for level in ranked if possible(values({**row, name: level})))
        levels = _in_order(row, names)
        for meeting in itertools.combinations(levels, strength):
            missing.pop(meeting, None)
        yield values(row)


def meetings(factors: Mapping[str, Sequence[Any]], strength: int) -> Iterator[tuple[Level, ...]]:
    """Yield every `strength` levels of different factors, in the factors' order."""
    for names in itertools.combinations(factors, strength):
        for places in itertools.product(*(range(len(factors[name])) for name in names)):
            yield tuple(zip(names, places, strict=True))


def _in_order(row: Mapping[str, int], names: Sequence[str]) -> list[Level]:
    return [(name, row[name]) for name in names if name in row]


def _new(
    missing: Mapping[tuple[Level, ...], None],
    known: Sequence[Level],
    level: Level,
    names: Sequence[str],
    strength: int,
) -> int:
    """Return how many meetings of a level with known ones are missing."""
    place = {name: i for i, name in enumerate(names)}
    return sum(
        tuple(sorted((*others, level), key=lambda one: place[one[0]])) in missing
        for others in itertools.combinations(known, strength - 1)
    )
