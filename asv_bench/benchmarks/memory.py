"""Measures the peak memory of a process that computes one layer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import common

#: Its patches, as a matrix, have 49 values per channel for each pixel of the output.
LAYER = "stem"

#: Compiles in a separate process, so that the memory of a compiler is not part of the measured peak.
COMPILE = "import sys; from benchmarks import common; common.ready(sys.argv[1], common.layer(*sys.argv[2:]))"


class PeakMemLayer:
    """The peak of the whole process: Python, the libraries of a backend, operands, result and workspace."""

    param_names = ("backend", "primitive")
    params = (common.FAST_ROWS, list(common.PRIMITIVES))
    timeout = 300

    call: Callable[[], Any]

    def setup(self, backend: str, primitive: str) -> None:
        """Make the operands; another process has compiled before, or been refused, which this one says."""
        root = Path(__file__).parents[1]
        command = [sys.executable, "-c", COMPILE, backend, LAYER, primitive]
        subprocess.run(command, cwd=root, check=False, capture_output=True)
        self.call = common.ready(backend, common.layer(LAYER, primitive))

    def peakmem_call(self, backend: str, primitive: str) -> None:
        """Call it once more."""
        self.call()
