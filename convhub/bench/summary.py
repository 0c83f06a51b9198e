"""Averages ratios: over the layers of each class, and over the classes, never over all rows.

Lists have many layers of one kind and few of another; a mean over all rows would describe the lists. Means
are geometric, so that twice as fast and half as fast average to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..problem import PRIMITIVES
from .classes import CLASSES
from .results import Row

__all__ = ["TITLES", "ClassSummary", "Summary", "geometric_mean", "summaries"]

#: The title of each primitive's rows: `conv_transpose2d` is the primitive grad_input.
TITLES = {
    "forward": "forward",
    "grad_input": "grad_input and conv_transpose2d",
    "grad_weight": "grad_weight",
}


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """The layers of one class.

    `ratio`, `gflops` and `against_gflops` are geometric means over the layers that both sides ran; `share` is
    the fraction of these with a ratio of one or more. All are None if there is no such layer.
    """

    name: str
    rows: tuple[Row, ...]
    ratio: float | None
    worst: Row | None
    share: float | None
    gflops: float | None
    against_gflops: float | None

    @property
    def compared(self) -> int:
        """How many layers both sides ran."""
        return sum(row.ratio is not None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Summary:
    """The classes of one primitive in one mode of memory.

    `ratio` is the geometric mean of the classes' ratios; `share` and `worst` are over all rows.
    """

    memory: str
    primitive: str
    classes: tuple[ClassSummary, ...]
    ratio: float | None
    worst: Row | None
    share: float | None

    @property
    def title(self) -> str:
        """The operation, in words."""
        return TITLES[self.primitive]

    @property
    def rows(self) -> list[Row]:
        """The rows of all classes."""
        return [row for found in self.classes for row in found.rows]


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """Return a summary for each mode of memory and each primitive that has rows."""
    found = []
    for memory in dict.fromkeys(row.memory for row in rows):
        for primitive in PRIMITIVES:
            chosen = [row for row in rows if (row.memory, row.primitive) == (memory, primitive)]
            if chosen:
                found.append(_summary(memory, primitive, chosen))
    return found


def _summary(memory: str, primitive: str, rows: Sequence[Row]) -> Summary:
    names = [name for name in CLASSES if any(row.layer_class == name for row in rows)]
    classes = tuple(_class_summary(name, [r for r in rows if r.layer_class == name]) for name in names)
    ratio = geometric_mean(c.ratio for c in classes if c.ratio is not None)
    return Summary(memory, primitive, classes, ratio, _worst(rows), _share(rows))


def _class_summary(name: str, rows: Sequence[Row]) -> ClassSummary:
    compared = [row for row in rows if row.ratio is not None]
    return ClassSummary(
        name,
        tuple(rows),
        geometric_mean(row.ratio for row in compared if row.ratio is not None),
        _worst(rows),
        _share(rows),
        geometric_mean(row.gflops for row in compared if row.gflops is not None),
        geometric_mean(row.against_gflops for row in compared if row.against_gflops is not None),
    )


def _worst(rows: Sequence[Row]) -> Row | None:
    compared = [(row.ratio, index) for index, row in enumerate(rows) if row.ratio is not None]
    return rows[min(compared)[1]] if compared else None


def _share(rows: Sequence[Row]) -> float | None:
    ratios = [row.ratio for row in rows if row.ratio is not None]
    return sum(ratio >= 1 for ratio in ratios) / len(ratios) if ratios else None


def geometric_mean(values: Iterable[float]) -> float | None:
    """Return the geometric mean of positive numbers, or None if there are none.

    Examples
    --------
    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else None
