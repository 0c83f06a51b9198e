"""Selects the layers to time: fits batches to the device, merges duplicates, and takes a few of each class.

Nothing here is random or measured: equal lists give equal choices on every machine.
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
    """The limits on layers that are timed on a device type.

    Parameters
    ----------
    macs, depthwise_macs : int
        The multiply-accumulates up to which images are added; for depthwise layers, which are memory-bound.
    least_macs : int
        A layer with fewer is left out, since its time would be that of the call itself.
    images : int or None
        The most images; None means as many as the list has.
    bytes : int or None
        The most bytes of input and output in float32; None means no limit.
    """

    macs: int
    depthwise_macs: int
    least_macs: int
    images: int | None = None
    bytes: int | None = None


#: Tens of milliseconds on one core.
CPU = Limits(150_000_000, 40_000_000, 2_000_000)

#: A millisecond of float32 on a large GPU, far longer than issuing a call; beyond its caches.
GPU = Limits(10_000_000_000, 2_000_000_000, 50_000_000, images=256, bytes=128 * 2**20)

#: A single image of more than this many times the limit is left out.
TOO_LARGE = 5


def _most(layer: Layer, limits: Limits) -> int:
    return limits.depthwise_macs if class_of(layer) == "depthwise" else limits.macs


def fitted(layer: Layer, limits: Limits = CPU) -> Layer:
    """Return the layer with as many images as the limits allow, but at least one."""
    one = layer.with_batch(1).problem
    most = [_most(layer, limits) // max(1, one.macs), limits.images or layer.problem.batch]
    if limits.bytes is not None:
        most.append(limits.bytes // (one.input_bytes + one.output_bytes))
    return layer.with_batch(max(1, min(most)))


def usual_size(layer: Layer, limits: Limits = CPU) -> bool:
    """Return whether a layer, with its batch fitted, is neither too small nor too large to time."""
    return limits.least_macs <= layer.problem.macs <= TOO_LARGE * _most(layer, limits)


def merged(layers: Iterable[Layer]) -> list[Layer]:
    """Return each problem once, with the name of its first layer and the number of further ones."""
    found: dict[Layer, list[str]] = {}
    for layer in layers:
        found.setdefault(replace(layer, name=""), []).append(layer.name)
    return [
        replace(layer, name=names[0] + (f" (+{len(names) - 1})" if len(names) > 1 else ""))
        for layer, names in found.items()
    ]


def by_class(layers: Iterable[Layer], classes: Sequence[str], most: int | None) -> list[Layer]:
    """Return the layers of `classes`, class by class, at most `most` of each (all if None).

    Within a class they are ordered from large images with few channels to small ones with many, and the
    choice is spread evenly over that order.
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
    """Return at most `most` of the items: the middle one of each of `most` equal parts.

    Examples
    --------
    >>> evenly("abcdefgh", 2)
    ['c', 'g']
    """
    if len(items) <= most:
        return list(items)
    return [items[(2 * part + 1) * len(items) // (2 * most)] for part in range(most)]
