"""Divides a result into tiles.

Tiles depend only on the problem and the workspace limit, never on the number of threads, so that each
number of the result is computed in the same way by any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod
from typing import NamedTuple

__all__ = ["Tile", "Tiling", "parts", "tiling"]

#: A tile takes several images only if one has fewer pixels than this: then the larger matrix product
#: makes up for the copy that brings the result into its order.
FEW_PIXELS = 128


class Tile(NamedTuple):
    """Some images, and some rows and columns of each; the first ones, and those after the last."""

    image: int
    image_end: int
    row: int
    row_end: int
    column: int
    column_end: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, rows and columns."""
        return self.image_end - self.image, self.row_end - self.row, self.column_end - self.column

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return prod(self.shape)

    @property
    def places(self) -> tuple[slice, slice, slice, slice, slice]:
        """The tile's place in (N, G, C, H, W)."""
        every = slice(None)
        rows, columns = slice(self.row, self.row_end), slice(self.column, self.column_end)
        return slice(self.image, self.image_end), every, every, rows, columns


def parts(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Divide ``range(total)`` evenly into the fewest parts of at most `most`: (begin, end)."""
    count = ceil(total / max(1, most))
    for index in range(count):
        yield index * total // count, (index + 1) * total // count


class Tiling(NamedTuple):
    """Images, rows and columns, and into how many parts each is divided."""

    sizes: tuple[int, int, int]
    counts: tuple[int, int, int]

    def __len__(self) -> int:
        return prod(self.counts)

    @property
    def largest(self) -> tuple[int, int, int]:
        """Images, rows and columns of the largest tile."""
        images, rows, columns = (
            ceil(size / count) if count else 0 for size, count in zip(self.sizes, self.counts, strict=True)
        )
        return images, rows, columns

    def tile(self, index: int) -> Tile:
        """Return the tile of that number."""
        bounds: list[int] = []
        for size, count in zip(reversed(self.sizes), reversed(self.counts), strict=True):
            index, part = divmod(index, count)
            bounds[:0] = part * size // count, (part + 1) * size // count
        return Tile(*bounds)


def tiling(images: int, rows: int, columns: int, most_pixels: int) -> Tiling:
    """Divide images into tiles of at least one pixel and at most `most_pixels`.

    Tiles are whole rows if those fit, and several whole images if these are small.
    """
    together = max(1, most_pixels // (rows * columns)) if rows * columns < FEW_PIXELS else 1
    counts = (
        ceil(images / together),
        ceil(rows / max(1, most_pixels // columns)),
        ceil(columns / max(1, most_pixels)),
    )
    return Tiling((images, rows, columns), counts)
