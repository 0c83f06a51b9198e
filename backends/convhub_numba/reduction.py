"""Defines the sizes that the kernels of the weight's gradient share, and adds up the sums of blocks.

Pixels are summed in blocks, blocks in groups (see `chains`), groups in the order of images and rows: always
the same, whatever the threads, and with an error that stays far below that of one long chain.
"""

from __future__ import annotations

from typing import NamedTuple

from . import jit
from .vectors.moves import add_vector

__all__ = ["Sizes", "add_groups"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    in_channels: int  # of one group
    rows: int  # of dy
    columns: int
    step_h: int
    step_w: int
    shift_h: int
    shift_w: int
    span_h: int
    span_w: int
    tile_rows: int  # of dy, gathered from one image at a time
    tile_columns: int
    block_pixels: int
    block_channels: int  # of dy, in one task
    block_columns: int  # of dw, in one task; a multiple of the panel's width
    pad_items: int
    panel_items: int
    left_items: int
    sum_items: int
    source_items: int
    group: int  # how many sums of blocks make a group


@jit.part()
def add_groups(totals, sums, count, lanes):
    """Add `count` sums of a group of blocks to the totals, and set them to zero for the next."""
    whole = count - count % lanes
    for i in range(0, whole, lanes):
        add_vector(totals, sums, i, lanes)
    for i in range(whole, count):
        totals[i] += sums[i]
        sums[i] = 0
