"""Selects the layers that are timed: batches fitted to the device, duplicates merged, a few of a class.

Nothing here is random, and nothing is measured: equal lists give equal choices on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from .classes import class_of
from .layers import Layer

T = TypeVar("T")

__all__ = ["CPU", "GPU", "Limits", "by_class", "evenly", "fitted", "merged", "usual_size"]


class Limits(NamedTuple):
    """What is timed on a type of device.

    Parameters
    ----------
    macs, depthwise_macs : int
        Multiply-accumulates of a layer up to which it has images; of depthwise ones, which wait for memory.
    least_macs : int
        Below this many, the call itself is what is measured: such a layer is left out.
    images : int or None
        The most images; None: as many as the list has.
    bytes : int or None
        Of input and output in float32, likewise; None: any number.
    """

    macs: int
    depthwise_macs: int
    least_macs: int
    images: int | None = None
    bytes: int | None = None


#: Tens of milliseconds on one core.
CPU = Limits(150_000_000, 40_000_000, 2_000_000)

#: A millisecond of float32 on a large GPU, far above what it takes to issue a call; beyond its caches.
GPU = Limits(10_000_000_000, 2_000_000_000, 50_000_000, images=256, bytes=128 * 2**20)

#: A single image of more than this many times the limit is left out.
TOO_LARGE = 5


def _most(layer: Layer, limits: Limits) -> int:
    return limits.depthwise_macs if class_of(layer) == "depthwise" else limits.macs


def fitted(layer: Layer, limits: Limits = CPU) -> Layer:
    """Return the layer with as many images as the limits allow, and one at least."""
    one = layer.with_batch(1).problem
    most = [_most(layer, limits) // max(1, one.macs), limits.images or layer.problem.batch]
    if limits.bytes is not None:
        most.append(limits.bytes // (one.input_bytes + one.output_bytes))
    return layer.with_batch(max(1, min(most)))


def usual_size(layer: Layer, limits: Limits = CPU) -> bool:
    """Return whether a layer, its batch fitted, is neither so small nor so large that it is left out."""
    return limits.least_macs <= layer.problem.macs <= TOO_LARGE * _most(layer, limits)


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
