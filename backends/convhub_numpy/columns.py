"""Gathers the pixels of each result as a column, for a matrix product.

The arrangement is Chellapilla, Puri and Simard's, *High performance convolutional neural networks for
document processing* (2006), known as im2col; here it is made for one tile at a time.
"""

from __future__ import annotations

from convhub.backend import Array

from .axes import Axis, clips
from .tiles import Tile

__all__ = ["fill_columns", "is_identity"]


def fill_columns(columns: Array, source: Array, rows: Axis, cols: Axis, tile: Tile) -> None:
    """Write to `columns` the numbers that the results of `tile` gather from `source`, zeros for padding.

    Parameters
    ----------
    columns : ndarray
        (G, C, R, S, images, rows, columns of the tile).
    source : ndarray
        (N, G, C, H, W), of any dtype and strides.
    """
    images = source[tile.image : tile.image_end].transpose(1, 2, 0, 3, 4)
    across = clips(cols, tile.column, tile.column_end)
    for r, (down, from_rows, all_rows) in enumerate(clips(rows, tile.row, tile.row_end)):
        for s, (right, from_cols, all_cols) in enumerate(across):
            if all_rows and all_cols:
                columns[:, :, r, s] = images[:, :, :, from_rows, from_cols]
                continue
            target = columns[:, :, r, s]
            target[..., : down.start, :] = 0
            target[..., down.stop :, :] = 0
            target[..., down, : right.start] = 0
            target[..., down, right.stop :] = 0
            target[..., down, right] = images[:, :, :, from_rows, from_cols]


def is_identity(axis: Axis) -> bool:
    """Say whether each result gathers only from the place of its own index, so that no column is needed."""
    return axis.taps == 1 and axis.offset == 0 and axis.stride == 1 and axis.results == axis.size
