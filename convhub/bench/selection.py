"""Which layers of the lists are timed: the batch made small, duplicates merged, a few of each class.

Nothing here is random, and nothing is measured: equal lists give equal choices on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from .classes import class_of
from .layers import Layer

T = TypeVar("T")

__all__ = ["by_class", "evenly", "merged", "shrunk", "usual_size"]

#: Multiply-accumulates of a layer above which its batch is made smaller: tens of milliseconds on one core.
MOST_MACS = 150_000_000

#: … of depthwise layers, which wait for memory.
MOST_MACS_DEPTHWISE = 40_000_000

#: A single image with more than so many times these is left out.
TOO_LARGE = 5

#: Below this many, the call itself is what is measured.
LEAST_MACS = 2_000_000


def _most(layer: Layer) -> int:
    return MOST_MACS_DEPTHWISE if class_of(layer) == "depthwise" else MOST_MACS


def shrunk(layer: Layer) -> Layer:
    """Return the layer with as many of its images as have at most `MOST_MACS`, and one at least."""
    each = max(1, layer.problem.macs // max(1, layer.problem.batch))
    return layer.with_batch(max(1, min(layer.problem.batch, _most(layer) // each)))


def usual_size(layer: Layer) -> bool:
    """Return whether a layer, its batch shrunk, is neither so small nor so large that it is left out."""
    return LEAST_MACS <= layer.problem.macs <= TOO_LARGE * _most(layer)


def merged(layers: Iterable[Layer]) -> list[Layer]:
    """Return each problem once, with the name of the first layer that has it, and how many more do."""
    found: dict[Layer, list[str]] = {}
    for layer in layers:
        found.setdefault(replace(layer, name=""), []).append(layer.name)
    return [
        replace(layer, name=names[0] + (f" (+{len(names) - 1})" if len(names) > 1 else ""))
        for layer, names in found.items()
    ]


def by_class(layers: Iterable[Layer], classes: Sequence[str], most: int | None) -> list[Layer]:
    """Return the layers of `classes`, class by class, at most `most` of each (None: all).

    Within a class they go from large images of few channels to small ones of many, and the choice is spread
    evenly over that order.
    """
    found: dict[str, list[Layer]] = {name: [] for name in classes}
    for layer in layers:
        name = class_of(layer)
        if name in found:
            found[name].append(layer)
    chosen = []
    for members in found.values():
        members.sort(key=_order)
        chosen += members if most is None else evenly(members, most)
    return chosen


def _order(layer: Layer) -> tuple[int, int, str]:
    (height, width), problem = layer.problem.output_size, layer.problem
    return -height * width, problem.in_channels * problem.out_channels, str(problem)


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of the items: the middle one of each of as many equal parts.

    Examples
    --------
    >>> evenly("abcdefgh", 2)
    ['c', 'g']
    """
    if len(items) <= most:
        return list(items)
    return [items[(2 * part + 1) * len(items) // (2 * most)] for part in range(most)]
