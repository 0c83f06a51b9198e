"""Lists the variants of the kernels, with their tiles and the C++ types of elements."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ..runtime.cupy_runtime import Source

__all__ = [
    "DTYPES",
    "TENSOR_TILES",
    "TENSOR_TYPES",
    "TENSOR_WEIGHT_TILES",
    "TILED_DTYPES",
    "WINOGRAD_TILE",
    "TensorTile",
    "Tile",
    "every_source",
    "source",
    "tensor_options",
    "tiles_for",
]

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


#: Of `winograd.cu`: 32 tiles of 2 by 2 pixels.
WINOGRAD_TILE = Tile(64, 128, 8, 8, 4)


def tiles_for(dtype: str) -> tuple[Tile, ...]:
    """Return the tiles that kernels of a type are compiled for."""
    return WIDE_TILES if dtype == "float64" else TILES


#: The type of a product on tensor cores, by that of the elements: float32 is rounded.
TENSOR_TYPES = {"float16": "f16", "bfloat16": "bf16", "float32": "tf32"}


class TensorTile(NamedTuple):
    """A block's part of the result on tensor cores, and the rows of a warp's, which has 32 columns."""

    m: int
    n: int
    warp_m: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.m // self.warp_m * (self.n // 32) * 32


#: Largest first.
TENSOR_WEIGHT_TILES = (TensorTile(128, 128, 64), TensorTile(64, 128, 32), TensorTile(64, 64, 32))
TENSOR_TILES = (*TENSOR_WEIGHT_TILES, TensorTile(32, 128, 32))


def tensor_options(dtype: str, tile: TensorTile | None = None) -> tuple[str, ...]:
    """Return the macros that kernels for tensor cores take; those that pack operands have no tile."""
    of_tile = zip(("TILE_M", "TILE_N", "WARP_M"), tile or (), strict=False)
    return (f"-DTENSOR={TENSOR_TYPES[dtype]}", *(f"-D{name}={value}" for name, value in of_tile))


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
    made += [
        source(f"{name}.cu", name, "float32", index)
        for name, index in itertools.product(("winograd_weight", "winograd"), INDICES)
    ]
    for dtype in TENSOR_TYPES:
        made += [
            source("pack.cu", name, dtype, index, *tensor_options(dtype))
            for name, index in itertools.product(("pack_pixels", "pack_weight"), INDICES)
        ]
        # What is packed is planned to fit 32-bit offsets.
        made += [
            source("tensor_gemm.cu", "tensor_gemm", dtype, "int", *tensor_options(dtype, tile))
            for tile in TENSOR_TILES
        ]
        made += [
            source("tensor_weight.cu", "tensor_weight", dtype, "int", *tensor_options(dtype, tile))
            for tile in TENSOR_WEIGHT_TILES
        ]
        smallest = tensor_options(dtype, TENSOR_WEIGHT_TILES[-1])
        made.append(source("tensor_weight.cu", "tensor_add_parts", dtype, "int", *smallest))
    return list(dict.fromkeys(made))
