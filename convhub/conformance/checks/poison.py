"""Fills memory with garbage, so that unwritten elements show up."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import numpy as np

from ...problem import Problem

__all__ = ["poisoned_memory"]

#: M_PERTURB of glibc's <malloc.h>: each allocation is filled with the complement of the given byte.
M_PERTURB = -6
#: New memory gets 0xFE: −1.7e38 as float32, −5e303 as float64, NaN as float16.
FILLED_WITH_FE = 0x01


@contextlib.contextmanager
def poisoned_memory(problem: Problem, device: str = "cpu") -> Iterator[None]:
    """Make new memory hold garbage in a block: the allocator's cached memory, and all of it where possible.

    Every allocator reuses memory that was freed recently; so arrays of the result's and the operands' size
    are filled with NaN and freed. glibc can also fill everything that `malloc` returns.
    """
    # Other systems have no such option, and only get the freed arrays.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_PERTURB, FILLED_WITH_FE)
    try:
        _fill_and_free(problem, device)
        yield
    finally:
        if mallopt is not None:
            mallopt(M_PERTURB, 0)


def _fill_and_free(problem: Problem, device: str) -> None:
    sizes = {problem.input_bytes, problem.weight_bytes, problem.output_bytes}
    if device == "cpu":
        garbage = [np.full(size, 0xFF, np.uint8) for size in sizes for _ in range(8)]
        del garbage
        return
    with contextlib.suppress(ImportError):
        import cupy

        held = [cupy.full(size, 0xFF, cupy.uint8) for size in sizes for _ in range(4)]
        del held
    with contextlib.suppress(ImportError):
        import torch

        tensors = [
            torch.full((size,), 0xFF, dtype=torch.uint8, device="cuda") for size in sizes for _ in range(4)
        ]
        del tensors
