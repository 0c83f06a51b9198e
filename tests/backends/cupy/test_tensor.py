"""The kernels of the backend `cupy` for tensor cores, through the emulator's twins of their instructions."""

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

from convhub_cupy import arguments, engine
from convhub_cupy.plan import tensor_cores
from convhub_cupy.plan.tensor_cores import TENSOR_TYPES, TILES, WEIGHT_TILES
from convhub_cupy.planner import every_source, make_plan
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.emulator import EmulatedRuntime, why_not
from support.checking import GEOMETRIES, PRIMITIVES, assert_right, operands_of, problem_of, run
from support.cupy_checking import (
    LARGE,
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
from convhub.reference.bounds import bound, worst
from convhub.reference.oracle import Operands, exact

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

NARROW = ("float16", "bfloat16")
#: Output planes of which eight neighbours lie in one chunk, all in turn and not.
WHOLE_CHUNKS = "n3c20h16w16_k20r3s3_pad1"


def rounded(array):
    """Return what TF32 makes of float32: the nearest with ten bits of mantissa, halfway away from zero."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def assert_tf32(runtime, problem, seed=0, **options):
    """Hold float32 on tensor cores to the bound of sums of operands that were rounded to TF32."""
    operands = operands_of(problem, np.random.default_rng(seed))
    result = run(Engine(runtime), problem, operands, allow_tf32=True, **options)
    first, second, bias = operands
    assert_right(result, problem, Operands(rounded(first), rounded(second), bias))
    right = exact(problem, operands)
    ratio, _ = worst(result, right, bound(problem, right, "componentwise", bias=bias is not None))
    assert ratio > 1 or not result.size, "nothing has been rounded"


def check(runtime, problem, **options):
    (assert_tf32 if problem.dtype == "float32" else assert_right_with)(runtime, problem, **options)


@pytest.fixture
def any_plan():
    make_plan.cache_clear()
    yield
    make_plan.cache_clear()


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive):
    """The conformance suite has these for bfloat16 too."""
    assert_right_with(EmulatedRuntime(sanitize=None), problem_of(primitive, "float16", GEOMETRIES[geometry]))


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("dtype", TENSOR_TYPES)
def test_every_tile(dtype, tile, monkeypatch, any_plan):
    """Force each tile; together with 64-bit strides this reaches every kernel that can be launched."""
    smallest = WEIGHT_TILES[-1]
    monkeypatch.setattr(tensor_cores, "_tile", lambda tiles, *_: tile if tile in tiles else smallest)
    runtime = EmulatedRuntime(sanitize=None)
    for primitive in PRIMITIVES:
        check(runtime, problem_of(primitive, dtype, LARGE["large"]))
    monkeypatch.setattr(arguments, "INT_LIMIT", 0)
    for geometry in ("few_channels", "two_groups"):
        for primitive in PRIMITIVES:
            check(runtime, problem_of(primitive, dtype, LARGE[geometry]))
    check(runtime, problem_of("forward", dtype, WHOLE_CHUNKS))
    ran = {(file, name, options) for file, name, options, *_ in runtime.launched}
    macros = {f"-DTENSOR={TENSOR_TYPES[dtype]}", f"-DTILE_M={tile.m}", f"-DTILE_N={tile.n}"}
    expected = {
        tuple(source)
        for source in every_source()
        if macros <= set(source.options)
        or (source.file == "pack.cu" and f"-DTENSOR={TENSOR_TYPES[dtype]}" in source.options)
    }
    assert expected
    assert expected <= ran


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("dtype", TENSOR_TYPES)
def test_images_by_turns(dtype, primitive):
    """A workspace that holds two of five images, and the last turn has one."""
    problem = problem_of(primitive, dtype, "n5c18h13w11_k20r3s2_stride2x1_pad1")
    whole = planned(problem, allow_tf32=True)
    assert whole.images == 5
    single = planned(problem.replace(batch=1), allow_tf32=True).workspace_bytes
    limit = next(
        limit
        for limit in range(single, whole.workspace_bytes, 64)
        if planned(problem, workspace_limit=limit, allow_tf32=True).images == 2
    )
    made = planned(problem, workspace_limit=limit, allow_tf32=True)
    assert made.workspace_bytes <= limit
    check(EmulatedRuntime(sanitize=None), problem, workspace_limit=limit)


@pytest.mark.parametrize(
    ("text", "options", "capability", "algorithm"),
    [
        ("forward_float16_n2c64h28w28_k64r3s3_pad1", {}, (8, 0), "tensor_gemm"),
        ("forward_float16_n2c64h28w28_k64r3s3_pad1", {"accuracy": "strict"}, (9, 0), "tensor_gemm"),
        ("forward_float16_n2c64h28w28_k64r3s3_pad1", {}, (7, 5), "implicit_gemm"),
        ("forward_float16_n2c64h28w28_k64r3s3_pad1", {"workspace_limit": 1000}, (8, 0), "implicit_gemm"),
        ("grad_input_bfloat16_n2c64h28w28_k64r3s3_stride2_pad1", {}, (12, 0), "tensor_gemm"),
        ("grad_weight_bfloat16_n2c64h28w28_k64r3s3_pad1", {}, (8, 6), "tensor_weight"),
        ("grad_weight_bfloat16_n2c64h28w28_k64r3s3_pad1", {"workspace_limit": 1000}, (8, 6), "direct"),
        ("grad_weight_float32_n2c64h28w28_k64r3s3_pad1", {}, (8, 0), "grad_weight"),
        ("grad_weight_float32_n2c64h28w28_k64r3s3_pad1", {"allow_tf32": True}, (8, 0), "tensor_weight_tf32"),
        (
            "grad_weight_float32_n2c64h28w28_k64r3s3_pad1",
            {"allow_tf32": True, "accuracy": "strict"},
            (8, 0),
            "grad_weight",
        ),
        ("forward_float32_n2c64h28w28_k64r1s1", {"allow_tf32": True}, (8, 9), "tensor_gemm_tf32"),
        ("forward_float32_n2c64h28w28_k64r1s1", {"allow_tf32": True}, (7, 5), "implicit_gemm"),
        ("forward_float64_n2c64h28w28_k64r1s1", {"allow_tf32": True}, (8, 0), "implicit_gemm"),
        ("forward_float16_n2c64h28w28_k64r3s3_pad1_groups64", {}, (8, 0), "depthwise"),
    ],
)
def test_what_runs_on_tensor_cores(text, options, capability, algorithm):
    described = engine.described(Problem.parse(text), RunOptions(**options), capability)
    assert described.partition(",")[0] == algorithm


def test_a_plane_of_more_than_32_bits_runs_elsewhere():
    huge = "forward_float16_n1c8h40000w40000_k8r3s3_pad1"
    assert algorithm_of(Problem.parse(huge), workspace_limit=2**40) == "implicit_gemm"
    many = "forward_float16_n64c64h1000w1000_k8r3s3_pad1"
    assert planned(Problem.parse(many), workspace_limit=2**40).images == 2**30 // (64 * 10**6)


def test_bits_do_not_depend_on_the_order_of_blocks():
    problem = problem_of("grad_weight", "bfloat16", "n9c9h33w35_k10r3s3_pad1")
    assert planned(problem).parts > 1
    operands = operands_of(problem, np.random.default_rng(1))
    results = [run(Engine(EmulatedRuntime(seed=seed)), problem, operands) for seed in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


FAULTS = {
    "no barrier": ("tensor_gemm.cu", "        __syncthreads();\n", ""),
    "a step's copies are not awaited": ("tensor_gemm.cu", "groups<STAGES - 2>", "groups<STAGES - 1>"),
    "the stage in use is overwritten": ("tensor_gemm.cu", "(step + STAGES - 1) % STAGES", "step % STAGES"),
    "columns of the image are not guarded": ("tensor_gemm.cu", "w >= 0 && w < width", "w >= 0"),
    "chunks are not where they are read": ("tensor_gemm.cu", "half + lane / 16)", "half + lane / 16 ^ 1)"),
    "the last step is left out": ("tensor_gemm.cu", "chunks + STEP - 1) / STEP)", "chunks) / STEP)"),
    "taps of other phases": ("tensor_gemm.cu", "(INDEX)r * rows_tap_step)", "(INDEX)r)"),
    "bias to one channel only": ("tensor_gemm.cu", "bias[channel * bias_m]", "bias[0]"),
    "no barrier in the gradient": ("tensor_weight.cu", "        __syncthreads();\n", ""),
    "rows of the gradient do not wrap": ("tensor_weight.cu", "next_p + (q[i] >= Q)", "next_p"),
    "parts write to one place": ("tensor_weight.cu", "((part * groups + g) * M", "((0 * groups + g) * M"),
    "a part is left out": ("tensor_weight.cu", "part < part1; part++", "part < part1 - 1; part++"),
    "no barrier in packing": ("pack.cu", "    __syncthreads();\n", ""),
    "channels are not filled up": ("pack.cu", "pixel < pixels && c < C ?", "pixel < pixels ?"),
    "weights are not filled up": ("pack.cu", "c0 + i < C ?", "true ?"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, tmp_path):
    file, *words = FAULTS[fault]
    folder = plant(tmp_path, file, words)
    primitive = "grad_weight" if "weight" in file else "grad_input"
    problem = problem_of(primitive, "float16", "n5c9h33w35_k11r3s3_stride2x1_pad1")
    operands = operands_of(problem, np.random.default_rng(5))
    # What lies beyond the channels is another image's, or nobody's: NaN makes sure that it is seen.
    memory = [
        np.full((*array.shape[:1], array.shape[1] + 9, *array.shape[2:]), np.nan, array.dtype)
        for array in operands[:2]
    ]
    for whole, array in zip(memory, operands, strict=False):
        whole[:, : array.shape[1]] = array
    views = [whole[:, : array.shape[1]] for whole, array in zip(memory, operands, strict=False)]
    operands = Operands(*views, operands.bias)
    assert_right(run(Engine(EmulatedRuntime()), problem, operands), problem, operands)
    assert is_seen(folder, problem, operands)


TEXTS = [
    f"{primitive}_{dtype}_{geometry}"
    for primitive in PRIMITIVES
    for dtype, geometry in (
        ("float16", LARGE["few_outputs"]),
        ("float32", "n2c37h9w7_k35r2s2_stride2_pad1"),
        ("bfloat16", GEOMETRIES["stride_past_the_kernel"]),
        ("float16", "n1c5h8w8_k6r3s3_pad1"),
    )
]


def test_sanitizers_find_nothing(tmp_path):
    done = run_sanitized(tmp_path, INCLUDES, TEXTS, allow_tf32=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all clean" in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tensor_gemm.cu", "if (place[j] >= 0) there[", "there["),
        ("tensor_gemm.cu", "weight_exists[i] = m < M;", "weight_exists[i] = true;"),
        ("tensor_weight.cu", "if (m >= M) continue;", "if (m > M) continue;"),
        ("tensor_weight.cu", "n_exists && pixel + row < end &&", "n_exists &&"),
        ("pack.cu", "pixel < pixels && c < C ?", "pixel < pixels ?"),
    ],
)
def test_sanitizers_find_an_edge_that_is_off(tmp_path, file, old, new):
    folder = plant(tmp_path, file, (old, new))
    texts = [f"{primitive}_float16_n1c9h5w7_k63r3s3_pad1" for primitive in PRIMITIVES]
    done = run_sanitized(tmp_path, folder, texts)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
