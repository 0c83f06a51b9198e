"""Lists where vectors of pixels are read and written, and copies tiles of them to the result."""

from __future__ import annotations

from .. import jit
from ..vectors.half import narrow_for
from ..vectors.moves import copy_vector

__all__ = ["hand_out", "list_vectors"]


@jit.part()
def list_vectors(bases, places, sizes, rows, columns, pitch, vectors, lanes):
    """List where the vectors that cover `rows` by `columns` pixels are read and written; return how many.

    A row's last vector is moved back to end with the row, and computes a few pixels twice. The list is
    filled up to a multiple of `vectors` with its last entry.
    """
    count = 0
    for a in range(rows):
        for b in range(0, columns, lanes):
            start = max(0, min(b, columns - lanes))
            bases[count] = a * pitch + start
            places[count] = a * sizes.out_row + start * sizes.out_column
            count += 1
    filled = count
    while filled % vectors:
        bases[filled] = bases[count - 1]
        places[filled] = places[count - 1]
        filled += 1
    return count


@jit.part()
def hand_out(
    out, tile, row_places, out_column, end, count, columns, rows, channel_stride, start, vectors, lanes
):
    """Copy a tile to where its vectors belong; vectors side by side in rows shorter than a vector overlap.

    Numbers are narrowed. Nothing at or past `end`, counted from the channel's `start`, is written.
    """
    length = min(columns, lanes)
    for i in range(rows):
        to = start + i * channel_stride
        for v in range(count):
            at = (i * vectors + v) * lanes
            place = row_places[v]
            if place + lanes <= end:
                copy_vector(out, to + place, tile, at, lanes)
            else:
                for j in range(length):
                    out[to + place + j * out_column] = narrow_for(tile[at + j], out)
