"""The CUDA kernels of the backend `cupy`, through the emulator: every variant, and faults planted in them."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

from convhub_cupy import arguments, engine
from convhub_cupy.plan import grad_weight, implicit_gemm
from convhub_cupy.plan.variants import TILED_DTYPES, tiles_for
from convhub_cupy.planner import every_source, make_plan
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.emulator import EmulatedRuntime, why_not
from support.checking import GEOMETRIES, PRIMITIVES, assert_right, operands_of, problem_of, run
from support.cupy_checking import (
    LARGE,
    OLD,
    RECENT,
    Engine,
    algorithm_of,
    assert_right_with,
    is_seen,
    planned,
    plant,
    run_sanitized,
)

from convhub.backend import RunOptions
from convhub.problem import Problem

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture
def any_plan():
    make_plan.cache_clear()
    yield
    make_plan.cache_clear()


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive):
    assert_right_with(EmulatedRuntime(sanitize=None), problem_of(primitive, "float32", GEOMETRIES[geometry]))


@pytest.mark.parametrize(
    ("dtype", "tile"), [(dtype, tile) for dtype in TILED_DTYPES for tile in tiles_for(dtype)], ids=str
)
@pytest.mark.parametrize("wide", [False, True])
def test_every_tile_and_index(dtype, tile, wide, monkeypatch, any_plan):
    """Force a tile, and 64-bit indices; together these cases reach all that can be launched with tiles."""
    for module in (implicit_gemm, grad_weight):
        monkeypatch.setattr(module, "best_tile", lambda *_: tile)
    if wide:
        monkeypatch.setattr(arguments, "INT_LIMIT", 0)
    runtime = EmulatedRuntime(sanitize=None, capability=OLD)
    for geometry in ("large", "few_channels"):
        for primitive in PRIMITIVES:
            assert_right_with(runtime, problem_of(primitive, dtype, LARGE[geometry]))
    ran = {(file, name, options) for file, name, options, *_ in runtime.launched}
    index = "long long" if wide else "int"
    expected = {
        tuple(source)
        for source in every_source()
        if f"-DINDEX={index}" in source.options
        and set(tile.options) <= set(source.options)
        and source.options[0] == every_first_option(dtype)
        and source.name != "add_parts"
    }
    assert expected <= ran


def every_first_option(dtype):
    return f"-DELEMENT={'double' if dtype == 'float64' else 'float' if dtype == 'float32' else dtype}"


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_large(dtype, geometry, primitive):
    assert_right_with(EmulatedRuntime(seed=3, capability=OLD), problem_of(primitive, dtype, LARGE[geometry]))


def test_bits_do_not_depend_on_the_order_of_blocks():
    problem = problem_of("grad_weight", "float32", "n9c9h33w35_k10r3s3_pad1")
    assert planned(problem).parts > 1
    operands = operands_of(problem, np.random.default_rng(1))
    results = [run(Engine(EmulatedRuntime(seed=seed)), problem, operands) for seed in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_the_workspace_is_kept_to():
    problem = problem_of("grad_weight", "float32", "n64c64h64w64_k64r3s3_pad1")

    assert 2**22 < planned(problem).workspace_bytes <= 2**26
    assert planned(problem, workspace_limit=2**20).workspace_bytes <= 2**20
    assert algorithm_of(problem, workspace_limit=0) == "direct"


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("forward_float32_n2c64h28w28_k64r3s3_pad1", "winograd"),
        ("forward_float32_n2c64h28w28_k64r3s3_stride2_pad1", "implicit_gemm"),
        ("grad_input_float16_n2c64h28w28_k64r3s3_stride2_pad1", "implicit_gemm"),
        ("grad_weight_float64_n2c64h28w28_k64r3s3_pad1", "grad_weight"),
        ("forward_float32_n2c64h28w28_k64r3s3_pad1_groups64", "depthwise"),
        ("grad_weight_float32_n2c64h28w28_k64r3s3_pad1_groups64", "depthwise"),
        ("grad_weight_float32_n2c64h28w28_k64r3s3_pad1_groups16", "depthwise"),
        ("forward_complex64_n2c64h28w28_k64r3s3_pad1", "direct"),
        ("grad_weight_int16_n2c64h28w28_k64r3s3_pad1", "direct"),
    ],
)
def test_what_runs_and_how_it_is_described(text, algorithm):
    problem = Problem.parse(text)
    described = engine.described(problem, RunOptions(), OLD)
    assert described.partition(",")[0] == algorithm
    assert re.search(r"\d+ blocks in \d+ launch", described)


FAULTS = {
    "no barrier": ("implicit_gemm.cu", "        __syncthreads();\n", ""),
    "one buffer for both steps": ("implicit_gemm.cu", "keep(1 - buffer)", "keep(buffer)"),
    "the last run of terms is lost": ("implicit_gemm.cu", "TOTAL total = sums[i][j];", "TOTAL total{};"),
    "rows of the image are not guarded": (
        "implicit_gemm.cu",
        "h >= 0 && h < height && w >= 0",
        "h >= 0 && w >= 0",
    ),
    "bias to one channel only": ("implicit_gemm.cu", "bias[channel * bias_m]", "bias[0]"),
    "no barrier in grad_weight": ("grad_weight.cu", "        __syncthreads();\n", ""),
    "parts write to one place": ("grad_weight.cu", "((part * groups + g) * M", "((0 * groups + g) * M"),
    "a part is left out": ("grad_weight.cu", "part < part1; part++", "part < part1 - 1; part++"),
    "no barrier in the tree": ("depthwise.cu", "        __syncthreads();\n", ""),
    "taps in reverse": ("direct.cu", "(long long)s * columns_tap_step", "-(long long)s * columns_tap_step"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, tmp_path):
    file, *words = FAULTS[fault]
    folder = plant(tmp_path, file, words)
    dtype = "int16" if file == "direct.cu" else "float32"
    geometry = "n9c9h33w35_k10r3s3_pad1"
    groups = "_groups9" if file == "depthwise.cu" else ""
    geometry = geometry.replace("k10", "k9") + groups if groups else geometry
    primitive = "grad_weight" if file in ("grad_weight.cu", "depthwise.cu") else "forward"
    problem = problem_of(primitive, dtype, geometry)
    good = EmulatedRuntime()
    generator = np.random.default_rng(5)
    if dtype == "int16":
        shapes = problem.input_shape, problem.weight_shape
        x, w = (generator.integers(-9, 9, shape).astype(np.int16) for shape in shapes)
        right, wrong = (
            engine.forward(x, w, None, problem, RunOptions(), runtime)
            for runtime in (good, EmulatedRuntime(folder=folder))
        )
        assert not np.array_equal(right, wrong)
        return
    operands = operands_of(problem, generator)
    assert_right(run(Engine(good), problem, operands), problem, operands)
    assert is_seen(folder, problem, operands)


TEXTS = [
    f"{primitive}_{dtype}_{geometry}"
    for primitive in PRIMITIVES
    for dtype, geometry in (
        ("float32", LARGE["large"]),
        ("float64", LARGE["few_channels"]),
        ("float16", LARGE["two_groups"]),
        ("float32", GEOMETRIES["depthwise_strided"]),
        ("int16", GEOMETRIES["strided"]),
        ("complex64", GEOMETRIES["grouped"]),
    )
]


def test_sanitizers_find_nothing(tmp_path):
    done = run_sanitized(tmp_path, INCLUDES, TEXTS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all clean" in done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m0 + weight_channel < M;", "m0 + weight_channel <= M;"),
        ("if (written >= pixels) continue;", "if (written > pixels) continue;"),
    ],
    ids=["a channel too many is read", "a pixel too many is written"],
)
def test_sanitizers_find_an_edge_that_is_off_by_one(tmp_path, old, new):
    folder = plant(tmp_path, "implicit_gemm.cu", (old, new))
    done = run_sanitized(tmp_path, folder, ["forward_float32_n1c9h5w7_k63r3s3_pad1"])
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr


FAR_APART = """
import mmap, sys
sys.path[:0] = {paths!r}
import numpy as np
from gpu.emulator import EmulatedRuntime
from convhub_cupy import arguments, engine
from convhub.backend import RunOptions
from convhub.problem import Problem

arguments.INT_LIMIT = {limit}
problem = Problem.parse("{text}")
distance = 2**31 + 64  # elements from one image to the next: pages that nobody touches take no memory
memory = np.frombuffer(mmap.mmap(-1, (distance + 4096) * 2), np.float16)
shape = problem.input_shape if problem.primitive == "forward" else problem.output_shape
near = np.random.default_rng(0).integers(-4, 5, shape).astype(np.float16)
far = np.lib.stride_tricks.as_strided(memory, shape, (distance * 2, *near.strides[1:]), writeable=True)
far[...] = near
other = problem.input_shape if problem.primitive == "grad_weight" else problem.weight_shape
other = np.random.default_rng(1).integers(-4, 5, other).astype(np.float16)
bias = () if problem.primitive == "grad_weight" else (None,)
call = getattr(engine, problem.primitive)
runtime = EmulatedRuntime(capability={capability})
right, found = (call(x, other, *bias, problem, RunOptions(), runtime) for x in (near, far))
sys.exit(not np.array_equal(right, found))
"""


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize(("groups", "capability"), [(1, OLD), (1, RECENT), (9, OLD)])
def test_an_overflow_of_32_bits_is_seen(primitive, groups, capability, tmp_path):
    """Images 2**31 elements apart: right as they are, and a crash or wrong where 32 bits are forced."""
    text = f"{primitive}_float16_n2c9h9w7_k9r3s3_pad1" + "_groups9" * (groups > 1)
    paths = [str(Path(__file__).parents[2]), str(INCLUDES.parents[1])]
    ended = []
    for limit in (arguments.INT_LIMIT, 2**62):
        script = FAR_APART.format(paths=paths, limit=limit, text=text, capability=capability)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        ended.append(done.returncode)
    assert ended[0] == 0, done.stderr
    assert ended[1] != 0
