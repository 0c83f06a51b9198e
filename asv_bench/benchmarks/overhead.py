"""Measures costs other than the arithmetic: imports, first calls, and convhub's overhead per call.

Each sample is taken in a new process, whose code is in this file as text.
"""

from __future__ import annotations

from . import common

#: The variables that name the folders in which libraries keep compiled code.
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")

_OPERANDS = """
import numpy, convhub
x, w = numpy.ones((1, 1, 4, 4), 'f4'), numpy.ones((1, 1, 3, 3), 'f4')
"""

_TORCH_OPERANDS = """
import torch
x, w = torch.ones((1, 1, 4, 4)), torch.ones((1, 1, 3, 3))
"""

_EMPTY_CACHES = f"""
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ.update({{name: folder.name for name in {CACHES!r}}})
"""


def _call(backend: str) -> str:
    if backend == common.TORCH_ITSELF:
        return "torch.conv2d(x, w)"
    return f"convhub.conv2d(x, w, backend={backend!r})"


class Import:
    """The import of a package in a new process: convhub, numpy, which is part of that, and torch."""

    param_names = ("package",)
    params = (["convhub", "numpy", "torch"],)
    repeat = 5
    number = 1

    def timeraw_import(self, package: str) -> str:
        """Time it."""
        return f"import {package}"


class FirstCall:
    """The first call of a process, on an image of 4 by 4 pixels, with its imports and compilation.

    "cold": libraries find nothing compiled. "cached": they find what an earlier process compiled; only the
    first sample may not, and the median of five counts.
    """

    param_names = ("backend", "caches")
    params = (common.ROWS, ["cold", "cached"])
    repeat = 5
    number = 1
    timeout = 300

    def setup(self, backend: str, caches: str) -> None:
        """Skip what is declined."""
        common.ready(backend, common.small_layer("tiny"))

    def timeraw_first_call(self, backend: str, caches: str) -> tuple[str, str]:
        """Time it."""
        before = _EMPTY_CACHES if caches == "cold" else ""
        if backend == common.TORCH_ITSELF:  # torch is imported by convhub's first call, so by this one too
            return _TORCH_OPERANDS + _call(backend), before
        return _call(backend), before + _OPERANDS


class TinyCall:
    """A later call on the same image: nearly all of it is overhead of convhub."""

    param_names = ("backend",)
    params = (common.ROWS,)
    repeat = 5
    number = 1000
    timeout = 300

    def setup(self, backend: str) -> None:
        """Skip what is declined."""
        common.ready(backend, common.small_layer("tiny"))

    def timeraw_tiny_call(self, backend: str) -> tuple[str, str]:
        """Time it."""
        operands = _TORCH_OPERANDS if backend == common.TORCH_ITSELF else _OPERANDS
        return _call(backend), operands + _call(backend)
