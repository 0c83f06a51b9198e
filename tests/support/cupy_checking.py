"""Runs the CUDA engine on the emulator for tests, plants faults in kernels, and uses the sanitizers."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from convhub_cupy import engine
from convhub_cupy.plan.plan import Settings
from convhub_cupy.planner import make_plan
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.emulator import EmulatedRuntime, sanitized

from convhub.backend import RunOptions
from support.checking import PRIMITIVES, assert_right, operands_of, run

#: Larger than one tile on every axis, in channels of one group and in pixels; few and many channels.
LARGE = {
    "large": "n2c35h17w19_k131r3s2_stride2x1_dilation2x3_pad3x2",
    "few_channels": "n3c3h21w17_k70r3s3_pad1",
    "few_outputs": "n1c70h23w19_k33r2s3_stride1x2_dilation3x2_pad2",
    "two_groups": "n2c140h9w7_k138r2s2_stride2_pad1_groups2",
    "many_pixels": "n5c9h31w33_k10r2s3_pad1x0_dilation2x2",
}

#: The compute capability of a device with tensor cores, and of one whose tensor cores are too old.
RECENT, OLD = (8, 0), (7, 5)


class Engine:
    """The engine with a given runtime, as `checking.run` calls it."""

    def __init__(self, runtime):
        self.runtime = runtime
        for primitive in PRIMITIVES:
            setattr(self, primitive, functools.partial(getattr(engine, primitive), runtime=runtime))


def assert_right_with(runtime, problem, seed=0, accuracy="componentwise", **options):
    """Run a problem with random operands, and return the part of its bound that the worst element takes."""
    operands = operands_of(problem, np.random.default_rng(seed))
    return assert_right(run(Engine(runtime), problem, operands, **options), problem, operands, accuracy)


def planned(problem, capability=RECENT, **options):
    """Return a problem's plan."""
    return make_plan(problem, Settings.of(RunOptions(**options), capability))[1]


def algorithm_of(problem, capability=RECENT, **options):
    """Return the name of the algorithm that takes a problem."""
    return make_plan(problem, Settings.of(RunOptions(**options), capability))[0].name


def plant(folder, file, *faults):
    """Copy the kernels to a folder, replace texts in one of them, and return the folder."""
    for path in INCLUDES.glob("*.cu*"):
        shutil.copy(path, folder)
    text = (folder / file).read_text()
    for old, new in faults:
        assert text.count(old) == 1, (file, old, text.count(old))
        text = text.replace(old, new)
    (folder / file).write_text(text)
    return folder


def is_seen(folder, problem, operands):
    """Return whether the kernels of a folder compute a problem incorrectly in any of six schedules."""
    for seed in range(6):
        try:
            result = run(Engine(EmulatedRuntime(seed, folder=folder)), problem, operands)
            assert_right(result, problem, operands)
        except AssertionError:
            return True
    return False


SANITIZED = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from pathlib import Path
from gpu.emulator import EmulatedRuntime
from convhub_cupy import Options, engine
from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.problem import Problem

runtime = EmulatedRuntime(sanitize=True, folder=Path({folder!r}))
for text, options, own in {calls!r}:
    problem = Problem.parse(text)
    shapes = problem.operand_shapes
    dtype = numpy_dtype(problem.dtype)
    arrays = [np.ones(shape, dtype) for shape in shapes]
    bias = () if problem.primitive == "grad_weight" else (np.ones(problem.result_shape[1], dtype),)
    options = RunOptions(**options, backend=Options(**own))
    getattr(engine, problem.primitive)(*arrays, *bias, problem, options, runtime)
print("all clean")
"""


def run_sanitized(tmp_path, folder, texts, own=None, **options):
    """Run problems under ASan and UBSan, in a separate process, and return how that ended.

    `options` are those of all backends, and `own` the engine's.
    """
    if sanitized.sanitizers() is None:
        pytest.skip("g++ has no libasan here")
    paths = [str(Path(__file__).parent.parent), str(INCLUDES.parents[1])]
    script = tmp_path / "sanitized_run.py"
    script.write_text(
        SANITIZED.format(
            paths=paths, folder=str(folder), calls=[(text, options, own or {}) for text in texts]
        )
    )
    return sanitized.run([str(script)], capture_output=True)
