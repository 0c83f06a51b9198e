"""Sizes that the suite tries once each: small ones, those around powers of two, layers known by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["KNOWN", "SINGLE", "SINGLE_GROUPS"]


def _around(*sizes: int) -> Iterator[int]:
    for size in sizes:
        yield from (size - 1, size, size + 1)


def _rotated(sizes: Sequence[Any], steps: int) -> Sequence[Any]:
    """Return sizes with the others than the first in another order, so that equal ones do not meet."""
    first, *others = sizes
    return (first, *others[steps:], *others[:steps])


_CHANNELS = (*range(1, 35), 40, *_around(48, 64), 80, *_around(96), 112, *_around(128), 160, *_around(192))
_DEEP = (*_around(256), 320, *_around(384, 512), 640, *_around(768, 1024))
#: Rows and columns of outputs: each number of columns with another of rows, and the reverse.
_PLANES = (
    (1, 1),
    *((1 + 7 * width % 13, width) for width in range(1, 67)),
    *((height, 1 + 5 * height % 11) for height in range(14, 67)),
    *((2, size) for size in (*_around(80, 96, 112, 128, 192, 224, 256, 512, 1024), 2047, 2048, 2049)),
    *((size, 3) for size in _around(96, 112, 128, 224, 256, 512, 1024)),
    *((size, size) for size in (28, 32, 56, 64, 112, 128, 260)),
)

#: Of each factor the least value stands first. Each occurs in one layer at least, beside any of the others.
SINGLE: Mapping[str, Sequence[Any]] = {
    "in_channels": (*_CHANNELS, *_DEEP),
    "out_channels": _rotated((*_CHANNELS, *_DEEP), 5),
    "batch": _rotated((*range(1, 35), *_around(48, 64, 96, 128, 256), 260), 9),
    "kernel_size": (
        *((size, size) for size in range(1, 17)),
        *((1, size) for size in range(2, 10)),
        *((size, 1) for size in range(2, 10)),
        *((3, 5), (5, 3), (2, 4), (4, 2), (3, 7), (25, 1), (1, 33), (1, 1030), (21, 21), (31, 31)),
    ),
    "stride": (
        *((step, step) for step in range(1, 9)),
        *((1, step) for step in range(2, 6)),
        *((step, 1) for step in range(2, 6)),
        *((14, 14), (16, 16), (32, 32), (2, 3), (3, 2)),
    ),
    "dilation": (
        *((step, step) for step in range(1, 7)),
        *((1, 4), (4, 1), (2, 3), (12, 12), (18, 18), (24, 24), (36, 36)),
    ),
    "padding": ("none", "around", "top", "bottom", "left", "right", "wide", "last", "first", "uneven"),
    "output_size": _PLANES,
    "unused": ((0, 0), (1, 1), (2, 0), (0, 3), (5, 4)),
}

#: The same of groups, and of few channels in each.
SINGLE_GROUPS: Mapping[str, Sequence[Any]] = {
    "groups": (*range(1, 18), 24, *_around(32), 48, *_around(64), 96, *_around(128)),
    "in_channels": _rotated((1, 2, 3, 4, 5, 8, 16), 2),
    "out_channels": (1, 2, 3, 4, 5, 8, 16),
    "batch": (1, 2, 3, 5),
    "kernel_size": ((1, 1), (3, 3), (2, 2), (5, 5), (4, 3)),
    "stride": ((1, 1), (2, 2), (1, 2)),
    "padding": ("none", "around", "last"),
    "output_size": ((1, 1), (5, 6), (7, 7), (9, 3)),
}

#: Layers that have a name, with fewer channels than where they come from.
KNOWN: Mapping[str, str] = {
    "patches of 16": "n1c3h48w64_k8r16s16_stride16x16",
    "patches of 14": "n2c3h42w28_k7r14s14_stride14x14",
    "patches of 4": "n1c3h20w24_k16r4s4_stride4x4",
    "deconvolution by 8": "n1c3h40w32_k2r16s16_stride8x8_pad4x4",
    "deconvolution by 2": "n2c8h18w14_k16r4s4_stride2x2_pad1x1",
    "the same size, with a stride": "n1c8h16w18_k16r3s3_stride2x2_pad0-1x0-1",
    "the same size, a stem": "n1c3h32w30_k8r7s7_stride2x2_pad2-3x2-3",
    "dilated by 12": "n1c8h28w26_k4r3s3_pad12x12_dilation12x12",
    "dilated by 24": "n1c4h28w30_k8r3s3_pad24x24_dilation24x24",
    "dilated by 6": "n2c8h17w19_k4r3s3_pad6x6_dilation6x6",
    "many pixels": "n1c1h260w260_k1r3s3_pad1x1",
    "as many images as channels": "n7c7h1w1_k7r1s1",
    "as many images as pixels": "n6c6h6w6_k6r3s3_pad1x1",
    "depthwise, three channels": "n2c3h11w12_k3r3s3_pad1x1_groups3",
    "depthwise with a multiplier of four": "n1c8h9w7_k32r3s3_pad1x1_groups8",
    "a filter bank": "n1c1h1w400_k8r1s65_stride1x10",
    "time in rows": "n4c40h100w1_k16r3s1_pad1x0",
}
