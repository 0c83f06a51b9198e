"""Reads the layers that each level checks: sizes of every kind combined, and layers of real networks."""

from __future__ import annotations

import functools
from pathlib import Path

from ..author import Level

__all__ = ["KINDS", "layers", "path_of"]

#: A layer of each kind that engines have code of their own for, with few products.
KINDS = (
    "n2c16h7w9_k16r3s3_pad1x1",
    "n3c24h5w7_k32r1s1",
    "n2c9h9w7_k5r1s1_stride2x2",
    "n1c3h23w21_k8r7s7_stride2x2_pad3x3",
    "n2c5h9w11_k7r4s4_stride2x2_pad1x1",
    "n1c6h11w12_k4r2s4_stride2x1_pad1-0x0-2_dilation1x2_groups2",
    "n2c33h7w6_k33r3s3_pad1x1_groups33",
    "n1c8h9w8_k24r3s3_stride2x2_pad1x1_groups8",
    "n3c10h4w5_k15r4s5_groups5",
    "n1c2h1w1030_k3r1s5_pad0x2",
    "n1c2h1030w1_k3r3s1",
    "n1c530h3w2_k4r3s2",
    "n1c3h2w3_k528r2s2",
    "n33c4h5w4_k1r3s3_pad1x1",
    "n1c2h13w12_k3r9s8",
)


def path_of(level: Level) -> Path:
    """Return the file of a level's layers, each a problem's text without primitive and dtype."""
    return Path(__file__).with_name(f"layers_{level}.txt")


@functools.cache
def layers(level: Level) -> tuple[str, ...]:
    """Return the texts of the layers of a level.

    Examples
    --------
    >>> layers("quick")[0]
    'n2c16h10w10_k16r3s3'
    """
    lines = path_of(level).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
