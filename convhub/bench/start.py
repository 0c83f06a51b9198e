"""Measures a first call, in a process that must compile and in one that need not, and a tiny call.

Each is measured in new processes, since a process starts only once. Libraries keep compiled code in a
temporary folder, which is empty at first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConvhubError

__all__ = ["TINY", "Start", "StartError", "measure_start"]

TINY = "forward_float32_n1c1h4w4_k1r3s3"

#: The variables that say where libraries keep compiled code.
CACHES = ("CUPY_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")

#: How many processes of each kind but the first are run; the fastest counts.
REPEATED = 3

# Its arguments are the backend, the problem, and modules to import before the first call.
_CHILD = """
import time
begin = time.perf_counter()
import numpy
numpy_there = time.perf_counter()
import convhub
convhub_there = time.perf_counter()

import importlib, json, sys, timeit
backend, problem, modules = json.loads(sys.argv[1])
problem = convhub.Problem.parse(problem)
operands = [numpy.ones(shape, problem.dtype) for shape in problem.operand_shapes]
operands += [None] if problem.bias_shape else []
from convhub.dispatch.choose import choose
from convhub.dispatch.request import make_request
from convhub.dispatch.execute import execute

before_modules = time.perf_counter()
for name in modules:
    importlib.import_module(name)
known = set(sys.modules)
before_call = time.perf_counter()
execute(problem, operands, make_request(backend), "numpy")
called = time.perf_counter()

imported = [
    name
    for name, module in sys.modules.items()
    if name not in known
    and getattr(module, "__spec__", None)
    and name.partition(".")[0] not in sys.stdlib_module_names
    and not name.startswith("convhub")
]
x, w = numpy.ones((1, 1, 4, 4), "f4"), numpy.ones((1, 1, 3, 3), "f4")
tiny = timeit.repeat(lambda: convhub.conv2d(x, w, backend=backend), number=1000, repeat=20)
choice = choose(problem, make_request(backend))
print(json.dumps({
    "backend": choice.backend.name,
    "algorithm": choice.algorithm,
    "numpy": numpy_there - begin,
    "convhub": convhub_there - numpy_there,
    "libraries": before_call - before_modules,
    "first": called - before_call,
    "tiny": min(tiny) / 1000,
    "imported": imported,
}))
"""


class StartError(ConvhubError):
    """A process whose start was timed failed."""


@dataclass(frozen=True, slots=True)
class Start:
    """Times in seconds; `modules` are the libraries that the first call imports, in part or in whole.

    `cold` and `warm` are first calls including their imports: `cold` where nothing is compiled yet, `warm` in
    a later process. `bare` is the first call of a later process that has already imported the libraries.
    """

    backend: str
    algorithm: str
    problem: str
    cold: float
    warm: float
    bare: float
    numpy: float
    convhub: float
    libraries: float
    modules: list[str]
    tiny: float


def measure_start(backend: str | None, problem: str = TINY) -> Start:
    """Measure a backend's start, in half a minute or less.

    Parameters
    ----------
    backend : str or None
        The backend; None lets convhub choose.
    problem : str
        The first call's problem. The tiny call is always one image of 4 by 4 pixels with a 3 by 3 kernel.

    Raises
    ------
    StartError
        If a process fails; the message has its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        cold = _child(folder, backend, problem, [])
        warm = [_child(folder, backend, problem, []) for _ in range(REPEATED)]
        modules: list[str] = warm[0]["imported"]
        bare = [_child(folder, backend, problem, modules) for _ in range(REPEATED)]

    def least(runs: list[dict[str, Any]], name: str) -> float:
        return min(float(run[name]) for run in runs)

    return Start(
        backend=cold["backend"],
        algorithm=cold["algorithm"],
        problem=problem,
        cold=cold["first"],
        warm=least(warm, "first"),
        bare=least(bare, "first"),
        numpy=least(warm + bare, "numpy"),
        convhub=least(warm + bare, "convhub"),
        libraries=least(bare, "libraries"),
        modules=sorted({name.partition(".")[0] for name in modules}),
        tiny=least(warm + bare, "tiny"),
    )


def _child(folder: str, backend: str | None, problem: str, modules: list[str]) -> dict[str, Any]:
    environment = os.environ | {name: str(Path(folder, name)) for name in CACHES}
    # Compiling to bytecode is part of installing a package, and not measured here.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["CONVHUB_CHECK"] = "off"
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps([backend, problem, modules])],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise StartError(f"a process that called {problem} ended with code {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]
