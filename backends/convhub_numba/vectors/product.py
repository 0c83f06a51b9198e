"""Multiplies a block of rows by a panel, register tile by register tile."""

from __future__ import annotations

from .. import jit
from .gemm_microkernel import gemm_tile

__all__ = ["multiply_panel", "tile_height"]


@jit.part()
def tile_height(left, rows):
    """Return how many of `left` rows the next tile takes: `rows`, or at the end a power of two."""
    if left >= rows:
        return rows
    if left >= 4:
        return 4
    return 2 if left >= 2 else 1


@jit.part()
def multiply_panel(
    out, out_offset, out_row, left, left_offset, left_row, panel, count, bias, bias_offset, accumulate, rows,
    used, height_limit, vectors, lanes,
):  # fmt: skip
    """Make or add to `rows` rows of `out` the product of `left` and a packed panel of `count` terms.

    The panel has `vectors` vectors for each term; those after the first `used` may be idle.
    Rows of `left` are `left_row` elements apart, or, where that is 0, packed ``[tile][term][row]``.
    """
    m = 0
    panel_row = vectors * lanes
    while m < rows:
        height = tile_height(rows - m, height_limit)
        to, constant = out_offset + m * out_row, bias_offset + m
        at, row, step = left_offset + m * left_row, left_row, 1
        if left_row == 0:
            at, row, step = left_offset + m * count, 1, height
        if height == height_limit and used == 1 and vectors > 1:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, height_limit, 1, lanes)  # fmt: skip
        elif height == height_limit and used == 2 and vectors > 2:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, height_limit, 2, lanes)  # fmt: skip
        elif height == height_limit:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, height_limit, vectors, lanes)  # fmt: skip
        elif height == 4:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, 4, vectors, lanes)  # fmt: skip
        elif height == 2:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, 2, vectors, lanes)  # fmt: skip
        else:
            gemm_tile(out, to, out_row, left, at, row, step, panel, 0, panel_row, count, bias, constant,
                      accumulate, 1, vectors, lanes)  # fmt: skip
        m += height
