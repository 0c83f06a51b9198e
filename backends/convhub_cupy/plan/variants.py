"""Names the variants of the kernels: their files, the C++ types of elements, and tiles."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .tiling import round_up

__all__ = [
    "DTYPES",
    "INDICES",
    "TILED_DTYPES",
    "Source",
    "TensorTile",
    "Tile",
    "best_tile",
    "source",
    "tiles_for",
]

#: The types that store and sum elements, by NumPy's name. Integers wrap around whatever their sign.
DTYPES = {
    "float32": ("float", "float"),
    "float64": ("double", "double"),
    "float16": ("float16", "float"),
    "bfloat16": ("bfloat16", "float"),
    "complex64": ("complex64", "complex64"),
    "complex128": ("complex128", "complex128"),
    **{f"{sign}int8": ("uint8", "uint32") for sign in ("", "u")},
    **{f"{sign}int16": ("uint16", "uint32") for sign in ("", "u")},
    **{f"{sign}int32": ("uint32", "uint32") for sign in ("", "u")},
    **{f"{sign}int64": ("uint64", "uint64") for sign in ("", "u")},
}

#: The types that all kernels take; those of `direct.cu` take the others too.
TILED_DTYPES = ("float32", "float64", "float16", "bfloat16")

#: The types of offsets and counts.
INDICES = ("int", "long long")


class Source(NamedTuple):
    """A kernel: the file, the function in it, and the macros that make it one of its variants."""

    file: str
    name: str
    options: tuple[str, ...]


@functools.cache  # asked for at each launch
def source(file: str, name: str, dtype: str, index: str, *options: str) -> Source:
    """Return a kernel for a type of elements and of indices."""
    stored, summed = DTYPES[dtype]
    return Source(file, name, (f"-DELEMENT={stored}", f"-DTOTAL={summed}", f"-DINDEX={index}", *options))


class Tile(NamedTuple):
    """The size of a block's part of the result, the terms of a step, and the size of a thread's part."""

    m: int
    n: int
    k: int
    thread_m: int
    thread_n: int

    @property
    def threads(self) -> int:
        """The number of threads of a block."""
        return self.m // self.thread_m * (self.n // self.thread_n)

    @property
    def options(self) -> tuple[str, ...]:
        """The macros that the kernels take."""
        names = ("TILE_M", "TILE_N", "TILE_K", "THREAD_M", "THREAD_N")
        return tuple(f"-D{name}={value}" for name, value in zip(names, self, strict=True))


class TensorTile(NamedTuple):
    """A block's part of the result on tensor cores, and the rows of a warp's, which has 32 columns."""

    m: int
    n: int
    warp_m: int

    @property
    def threads(self) -> int:
        """The number of threads of a block."""
        return self.m // self.warp_m * (self.n // 32) * 32


#: Largest first; float64 registers are half as many.
TILES = (Tile(128, 128, 8, 8, 8), Tile(64, 64, 16, 4, 4), Tile(32, 128, 8, 4, 4))
WIDE_TILES = (Tile(64, 64, 8, 4, 4), Tile(32, 64, 8, 2, 4))


def tiles_for(dtype: str) -> tuple[Tile, ...]:
    """Return the tiles that kernels of a type are compiled for."""
    return WIDE_TILES if dtype == "float64" else TILES


def best_tile(dtype: str, rows: int, columns: int) -> Tile:
    """Return the tile that leaves the least of itself empty, and among equals the largest."""

    def computed(tile: Tile) -> float:
        return round_up(rows, tile.m) * round_up(columns, tile.n) * (1 + 16 / tile.m + 16 / tile.n)

    return min(tiles_for(dtype), key=computed)
