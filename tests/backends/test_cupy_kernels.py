"""The CUDA kernels of the backend `cupy`, through the emulator: every variant, and faults planted in them."""

import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

from checking import GEOMETRIES, PRIMITIVES, assert_right, operands_of, problem_of, run
from convhub_cupy import engine
from convhub_cupy import plan as plan_module
from convhub_cupy.plan import plan
from convhub_cupy.runtime import INCLUDES
from convhub_cupy.variants import TILED_DTYPES, every_source, tiles_for
from cuda_emulator import EmulatedRuntime, sanitized, why_not

from convhub.backend import RunOptions
from convhub.problem import Problem

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

#: Larger than one of the tiles on every axis, in channels of one group and in pixels; few and many channels.
LARGE = {
    "large": "n2c35h17w19_k131r3s2_stride2x1_dilation2x3_pad3x2",
    "few_channels": "n3c3h21w17_k70r3s3_pad1",
    "few_outputs": "n1c70h23w19_k33r2s3_stride1x2_dilation3x2_pad2",
    "two_groups": "n2c140h9w7_k138r2s2_stride2_pad1_groups2",
    "many_pixels": "n5c9h31w33_k10r2s3_pad1x0_dilation2x2",
}


class Engine:
    """The engine with a runtime of its own, as `checking.run` calls one."""

    def __init__(self, runtime):
        self.runtime = runtime
        for primitive in PRIMITIVES:
            setattr(self, primitive, functools.partial(getattr(engine, primitive), runtime=runtime))


def assert_right_with(runtime, problem, seed=0):
    operands = operands_of(problem, np.random.default_rng(seed))
    assert_right(run(Engine(runtime), problem, operands), problem, operands)


@pytest.fixture
def any_plan():
    plan.cache_clear()
    yield
    plan.cache_clear()


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
    monkeypatch.setattr(plan_module, "_tile", lambda *_: tile)
    if wide:
        monkeypatch.setattr(engine, "INT_LIMIT", 0)
    runtime = EmulatedRuntime(sanitize=None)
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
    assert_right_with(EmulatedRuntime(seed=3), problem_of(primitive, dtype, LARGE[geometry]))


def test_bits_do_not_depend_on_the_order_of_blocks():
    problem = problem_of("grad_weight", "float32", "n9c9h33w35_k10r3s3_pad1")
    assert plan(problem, 2**26).parts > 1
    operands = operands_of(problem, np.random.default_rng(1))
    results = [run(Engine(EmulatedRuntime(seed=seed)), problem, operands) for seed in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_the_workspace_is_kept_to():
    problem = problem_of("grad_weight", "float32", "n64c64h64w64_k64r3s3_pad1")
    assert 2**22 < plan(problem, 2**26).workspace_bytes <= 2**26
    assert plan(problem, 2**20).workspace_bytes <= 2**20
    assert plan(problem, 0).algorithm == "direct"


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("forward_float32_n2c64h28w28_k64r3s3_pad1", "implicit_gemm"),
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
    described = engine.described(problem, RunOptions())
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


@pytest.fixture
def planted(tmp_path):
    def plant(file, old, new):
        for path in INCLUDES.glob("*.cu*"):
            shutil.copy(path, tmp_path)
        text = (tmp_path / file).read_text()
        assert text.count(old) == 1, (file, old, text.count(old))
        (tmp_path / file).write_text(text.replace(old, new))
        return tmp_path

    return plant


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, planted):
    folder = planted(*FAULTS[fault])
    file = FAULTS[fault][0]
    dtype = "int16" if file == "direct.cu" else "float32"
    geometry = "n9c9h33w35_k10r3s3_pad1"
    groups = "_groups9" if file == "depthwise.cu" else ""
    geometry = geometry.replace("k10", "k9") + groups if groups else geometry
    primitive = "grad_weight" if file in ("grad_weight.cu", "depthwise.cu") else "forward"
    problem = problem_of(primitive, dtype, geometry)
    good = EmulatedRuntime()
    seen = 0
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
    for seed in range(6):
        try:
            wrong = run(Engine(EmulatedRuntime(seed, folder=folder)), problem, operands)
            assert_right(wrong, problem, operands)
        except AssertionError:
            seen += 1
    assert seen


SANITIZED = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from pathlib import Path
from cuda_emulator import EmulatedRuntime
from convhub_cupy import engine
from convhub.backend import RunOptions
from convhub.problem import Problem

runtime = EmulatedRuntime(sanitize=True, folder=Path({folder!r}))
for text in {texts!r}:
    problem = Problem.parse(text)
    shapes = {{
        "forward": (problem.input_shape, problem.weight_shape),
        "grad_input": (problem.output_shape, problem.weight_shape),
        "grad_weight": (problem.output_shape, problem.input_shape),
    }}[problem.primitive]
    arrays = [np.ones(shape, problem.dtype) for shape in shapes]
    bias = () if problem.primitive == "grad_weight" else (np.ones(problem.result_shape[1], problem.dtype),)
    getattr(engine, problem.primitive)(*arrays, *bias, problem, RunOptions(), runtime)
print("all clean")
"""

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


def run_sanitized(tmp_path, folder, texts):
    if sanitized.sanitizers() is None:
        pytest.skip("g++ has no libasan here")
    paths = [str(Path(__file__).parent.parent), str(INCLUDES.parent)]
    script = tmp_path / "sanitized_run.py"
    script.write_text(SANITIZED.format(paths=paths, folder=str(folder), texts=texts))
    return sanitized.run([str(script)], capture_output=True)


def test_sanitizers_find_nothing(tmp_path):
    done = run_sanitized(tmp_path, INCLUDES, TEXTS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all clean" in done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("exists && m < M ?", "exists ?"),
        ("if (written >= pixels) continue;", "if (written > pixels) continue;"),
    ],
    ids=["a channel too many is read", "a pixel too many is written"],
)
def test_sanitizers_find_an_edge_that_is_off_by_one(tmp_path, planted, old, new):
    folder = planted("implicit_gemm.cu", old, new)
    done = run_sanitized(tmp_path, folder, ["forward_float32_n1c9h5w7_k63r3s3_pad1"])
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
