"""The variants of the kernels: their tiles, the C++ types of elements, and all of them as one list."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from .runtime import Source

__all__ = ["DTYPES", "TILED_DTYPES", "Tile", "every_source", "source", "tiles_for"]

#: How elements are stored and summed, by NumPy's name. Integers wrap around whatever their sign.
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

#: What the tiled kernels take; all else runs `direct`.
TILED_DTYPES = ("float32", "float64", "float16", "bfloat16")

INDICES = ("int", "long long")


class Tile(NamedTuple):
    """A block's part of the result, the terms of a step, and a thread's part."""

    m: int
    n: int
    k: int
    thread_m: int
    thread_n: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.m // self.thread_m * (self.n // self.thread_n)

    @property
    def options(self) -> tuple[str, ...]:
        """The macros that the kernels take."""
        names = ("TILE_M", "TILE_N", "TILE_K", "THREAD_M", "THREAD_N")
        return tuple(f"-D{name}={value}" for name, value in zip(names, self, strict=True))


#: Largest first; float64 registers are half as many.
TILES = (Tile(128, 128, 8, 8, 8), Tile(64, 64, 16, 4, 4), Tile(32, 128, 8, 4, 4))
WIDE_TILES = (Tile(64, 64, 8, 4, 4), Tile(32, 64, 8, 2, 4))


def tiles_for(dtype: str) -> tuple[Tile, ...]:
    """Return the tiles that kernels of a type are compiled for."""
    return WIDE_TILES if dtype == "float64" else TILES


def source(file: str, name: str, dtype: str, index: str, *options: str) -> Source:
    """Return a kernel for a type of elements and of indices."""
    stored, summed = DTYPES[dtype]
    return Source(file, name, (f"-DELEMENT={stored}", f"-DTOTAL={summed}", f"-DINDEX={index}", *options))


def every_source() -> list[Source]:
    """Return every kernel that the planner may launch."""
    made = [
        source("direct.cu", name, dtype, "long long")
        for name, dtype in itertools.product(("direct_correlate", "direct_grad_weight"), DTYPES)
    ]
    for dtype, index in itertools.product(TILED_DTYPES, INDICES):
        made += [
            source("depthwise.cu", name, dtype, index)
            for name in ("depthwise_correlate", "depthwise_grad_weight")
        ]
        made.append(source("grad_weight.cu", "add_parts", dtype, index, *tiles_for(dtype)[-1].options))
        for tile in tiles_for(dtype):
            made.append(source("grad_weight.cu", "grad_weight", dtype, index, *tile.options))
            made += [
                source("implicit_gemm.cu", "implicit_gemm", dtype, index, *tile.options, *order)
                for order in (("-DTAPS_OUTER=0",), ("-DTAPS_OUTER=1",))
            ]
    return list(dict.fromkeys(made))
