"""The emulator of CUDA kernels: that right kernels give right results, and wrong launches errors."""

import concurrent.futures
import pathlib
import time
import types

import numpy as np
import pytest

from . import EmulatedRuntime, EmulatorError, compiling, why_not
from .kernels_for_tests import ASYNC_COPY, PRODUCT, REDUCTION, TENSOR_CORES, TF32, written

ml_dtypes = pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")
pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def launch(source, grid, block, *arguments, shared_bytes=0, **options):
    # sanitize=None, so that `sanitized` may run these too, to see that it reports nothing.
    runtime = EmulatedRuntime(**{"sanitize": None, **options})
    runtime.launch(source, (*grid, 1, 1)[:3], (*block, 1, 1)[:3], arguments, shared_bytes)


def test_a_reduction_in_shared_memory(tmp_path):
    source = written(tmp_path, REDUCTION)
    x = np.random.default_rng(0).integers(-1000, 1000, 1000).astype("f4")
    for seed in range(3):
        sums = np.full(8, np.nan, "f4")
        launch(source, (8,), (128,), x, sums, np.int64(x.size), seed=seed)
        np.testing.assert_array_equal(sums, np.pad(x, (0, 24)).reshape(8, 128).sum(1))


@pytest.mark.parametrize("sizes", [(64, 64, 16), (100, 70, 33), (1, 129, 5)])
def test_a_tiled_product(tmp_path, sizes):
    m, n, k = sizes
    generator = np.random.default_rng(1)
    a, b = (generator.integers(-9, 9, shape).astype("f4") for shape in ((m, k), (k, n)))
    c = np.full((m, n), np.nan, "f4")
    grid = (-(-n // 64), -(-m // 64))
    launch(written(tmp_path, PRODUCT), grid, (256,), a, b, c, np.int32(m), np.int32(n), np.int32(k))
    np.testing.assert_array_equal(c, a @ b)


def test_each_thread_has_its_place(tmp_path):
    text = """
    extern "C" __global__ void kernel(int4* out, int2* of_block) {
        int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        int threads = blockDim.x * blockDim.y * blockDim.z;
        out[block * threads + thread] = make_int4(threadIdx.x, threadIdx.y, threadIdx.z, block);
        if (thread == 0) of_block[block] = make_int2(max(3, block), min(2.5f, 7.0f) * 2);
    }
    """
    out, of_block = np.zeros((24, 2, 3, 5, 4), "i4"), np.zeros((24, 2), "i4")
    launch(written(tmp_path, text), (2, 3, 4), (5, 3, 2), out, of_block)
    z, y, x = np.mgrid[:2, :3, :5]
    for block in range(24):
        np.testing.assert_array_equal(out[block], np.stack([x, y, z, np.full_like(x, block)], -1))
    np.testing.assert_array_equal(of_block.T, [np.maximum(3, np.arange(24)), np.full(24, 5)])


def test_warp_shuffles_and_votes(tmp_path):
    text = """
    extern "C" __global__ void kernel(const double* x, double* out, unsigned* votes) {
        int i = threadIdx.x, n = blockDim.x;
        double value = x[i];
        out[i] = __shfl_sync(0xffffffffu, value, 5);
        out[n + i] = __shfl_down_sync(0xffffffffu, value, 3);
        out[2 * n + i] = __shfl_up_sync(0xffffffffu, value, 2, 8);
        out[3 * n + i] = __shfl_xor_sync(0xffffffffu, value, 1);
        double sum = value;
        for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
        out[4 * n + i] = sum;
        votes[i] = __ballot_sync(0xffffffffu, value > 0);
        if (i % 2) votes[n + i] = __shfl_sync(0xaaaaaaaau, i, 1);  // half of the warp, on its own
        else votes[n + i] = __all_sync(0x55555555u, i % 2 == 0);
    }
    """
    x = np.random.default_rng(2).integers(-50, 50, 64).astype("f8")
    out, votes = np.zeros((5, 2, 32)), np.zeros((2, 2, 32), "u4")
    launch(written(tmp_path, text), (1,), (64,), x, out, votes)
    for warp, values in enumerate(x.reshape(2, 32)):
        lane = np.arange(32)
        np.testing.assert_array_equal(out[0, warp], values[5])
        np.testing.assert_array_equal(out[1, warp], values[np.where(lane + 3 < 32, lane + 3, lane)])
        np.testing.assert_array_equal(out[2, warp], values[np.where(lane % 8 >= 2, lane - 2, lane)])
        np.testing.assert_array_equal(out[3, warp], values[lane ^ 1])
        np.testing.assert_array_equal(out[4, warp], values.sum())
        np.testing.assert_array_equal(votes[0, warp], sum(1 << int(i) for i in lane if values[i] > 0))
        np.testing.assert_array_equal(votes[1, warp], np.where(lane % 2, 32 * warp + 1, 1))


CONVERSIONS = """
extern "C" __global__ void kernel(
    const ELEMENT* x, float* wide, const float* y, ELEMENT* narrow, int n, int many) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) wide[i] = TO_FLOAT(x[i]);
    if (i < many) narrow[i] = FROM_FLOAT(y[i]);
}
"""


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.float16, ("ELEMENT=__half", "TO_FLOAT=__half2float", "FROM_FLOAT=__float2half_rn")),
        (
            ml_dtypes.bfloat16,
            ("ELEMENT=__nv_bfloat16", "TO_FLOAT=__bfloat162float", "FROM_FLOAT=__float2bfloat16_rn"),
        ),
    ],
)
def test_16_bit_numbers(tmp_path, dtype, options):
    x = np.arange(2**16, dtype="u2").view(dtype)
    finite = x[np.isfinite(x.astype("f4"))].astype("f4")
    finite.sort()
    halfway = (finite[1:].astype("f8") + finite[:-1]) / 2  # these have one bit more, which a float has
    bits = np.random.default_rng(3).integers(0, 2**32, 200_000, dtype="u4").view("f4")
    limits = np.float32(
        [np.inf, -np.inf, np.nan, 65519.996, 65520, -65520, 3.3961775e38, 3.4e38, 2**-25, 1e-45]
    )
    halves = halfway.astype("f4")
    beside = [np.nextafter(halves, np.float32(side)) for side in (np.inf, -np.inf)]
    y = np.concatenate([x.astype("f4"), halves, *beside, bits, limits])
    wide, narrow = np.zeros(x.size, "f4"), np.zeros(y.size, dtype)
    source = written(tmp_path, CONVERSIONS, "kernel", *(f"-D{option}" for option in options))
    launch(source, (-(-y.size // 512),), (512,), x, wide, y, narrow, np.int32(x.size), np.int32(y.size))
    np.testing.assert_array_equal(wide, x.astype("f4"))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = y.astype(dtype)
    number = ~np.isnan(y)
    np.testing.assert_array_equal(narrow.view("u2")[number], expected.view("u2")[number])
    assert np.isnan(narrow[~number].astype("f4")).all()


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "f16"), (ml_dtypes.bfloat16, "bf16")])
def test_tensor_cores_with_16_bits(tmp_path, dtype, name):
    generator = np.random.default_rng(4)
    a, b, c = (generator.integers(-60, 60, shape).astype("f4") / 8 for shape in ((16, 16), (16, 8), (16, 8)))
    expected = c + a @ b
    bits = [np.ascontiguousarray(array.astype(dtype)) for array in (a, b.T, b)]
    source = written(tmp_path, TENSOR_CORES, "kernel", f"-DMMA=emulated_mma_m16n8k16_{name}")
    launch(source, (1,), (32,), *bits, c)
    np.testing.assert_array_equal(c, expected)


def tf32(x, how):
    """Return `x` with 10 bits of mantissa, cut off or rounded."""
    return ((x.view("u4") + (0x1000 if how == "rounded" else 0)) & 0xFFFFE000).view("f4")


@pytest.mark.parametrize(
    ("how", "convert"), [("cut", "__float_as_uint"), ("rounded", "emulated_cvt_rna_tf32")]
)
def test_tensor_cores_with_tf32(tmp_path, how, convert):
    generator = np.random.default_rng(5)
    a, b = (generator.standard_normal(shape).astype("f4") for shape in ((16, 8), (8, 8)))
    c = np.zeros((16, 8), "f4")
    launch(written(tmp_path, TF32, "kernel", f"-DCONVERT={convert}"), (1,), (32,), a, b, c)
    exact = tf32(a, how).astype("f8") @ tf32(b, how).astype("f8")
    np.testing.assert_allclose(c, exact, rtol=0, atol=1e-5)
    assert np.abs(c - a.astype("f8") @ b).max() > 1e-5, "nothing was rounded"


def test_asynchronous_copies_land(tmp_path):
    x = np.arange(1, 65, dtype="f4")
    out = np.zeros((3, 64), "f4")
    launch(written(tmp_path, ASYNC_COPY), (1,), (64,), x, out, shared_bytes=512)
    np.testing.assert_array_equal(out[0], x[::-1])
    # The second group is not there at the first look, and brings zeros by the second.
    assert np.isnan(out[1]).all()
    np.testing.assert_array_equal(out[2], 0)


def test_atomics_across_blocks(tmp_path):
    text = """
    extern "C" __global__ void kernel(int* count, float* sum) {
        atomicAdd(count, 1);
        atomicAdd(sum, 0.5f);
    }
    """
    count, total = np.zeros(1, "i4"), np.zeros(1, "f4")
    launch(written(tmp_path, text), (50,), (96,), count, total)
    assert (count[0], total[0]) == (4800, 2400)


def test_threads_that_have_ended_are_not_waited_for(tmp_path):
    text = """
    extern "C" __global__ void kernel(int* out) {
        if (threadIdx.x >= 40) return;
        __syncthreads();
        out[threadIdx.x] = __popc(__ballot_sync(0xffffffffu, 1));
    }
    """
    out = np.zeros(64, "i4")
    launch(written(tmp_path, text), (1,), (64,), out)
    np.testing.assert_array_equal(out, [32] * 32 + [8] * 8 + [0] * 24)


def test_views_and_null_pointers(tmp_path):
    text = """
    extern "C" __global__ void kernel(const float* x, const float* bias, float* out, long long stride) {
        out[threadIdx.x] = x[threadIdx.x * stride] + (bias ? *bias : 100.0f);
    }
    """
    x, out = np.arange(30, dtype="f4"), np.zeros(10, "f4")
    view = x[::-3]
    launch(written(tmp_path, text), (1,), (10,), view, None, out, np.int64(view.strides[0] // 4))
    np.testing.assert_array_equal(out, view + 100)


NOTHING = 'extern "C" __global__ void kernel(const float* x, float* y, long long n, float z) {}'
RIGHT = (np.zeros(3, "f4"), np.zeros(3, "f4"), np.int64(3), np.float32(1))
FROZEN = np.zeros(3, "f4")
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("index", "argument", "words"),
    [
        (2, np.int32(3), "argument 2 is an integer of 4 bytes, and the kernel takes an integer of 8 bytes"),
        (3, np.float64(1), "argument 3 is a floating-point number of 8 bytes"),
        (3, np.int32(1), "argument 3 is an integer of 4 bytes, and the kernel takes a floating-point number"),
        (2, 3, "argument 2 is 3, a int"),
        (0, np.zeros(3), "argument 0 is an array of double of 8 bytes"),
        (1, np.zeros(3, "f2"), "argument 1 is an array of half of 2 bytes"),
        (1, FROZEN, "argument 1 is a read-only array"),
        (1, np.int64(0), "argument 1 is an integer of 8 bytes, and the kernel takes a pointer of 8 bytes"),
    ],
)
def test_an_argument_that_the_kernel_does_not_take(tmp_path, index, argument, words):
    source = written(tmp_path, NOTHING)
    launch(source, (1,), (1,), *RIGHT)
    with pytest.raises(EmulatorError, match=words):
        launch(source, (1,), (1,), *(argument if i == index else right for i, right in enumerate(RIGHT)))


def test_launches_that_hardware_refuses(tmp_path):
    source = written(tmp_path, NOTHING)
    for grid, block in (
        ((1,), (1025,)),
        ((1,), (32, 64)),
        ((1, 65536), (1,)),
        ((1,), (1, 1, 65)),
        ((0,), (1,)),
    ):
        with pytest.raises(EmulatorError, match=r"grid|block"):
            launch(source, grid, block, *RIGHT)
    with pytest.raises(EmulatorError, match="3 arguments, and the kernel takes 4"):
        launch(source, (1,), (1,), *RIGHT[:3])
    launch(source, (1,), (1,), *RIGHT, shared_bytes=99 * 1024)
    with pytest.raises(EmulatorError, match="0 bytes of static and 101377 of dynamic"):
        launch(source, (1,), (1,), *RIGHT, shared_bytes=99 * 1024 + 1)


def test_static_shared_memory_is_that_of_the_kernel_alone(tmp_path):
    text = """
    #define BODY(n) __shared__ float a[n]; a[0] = 1; __syncthreads(); *y = a[0];
    extern "C" __global__ void kernel(float* y) { BODY(12288) }
    extern "C" __global__ void larger(float* y) { BODY(12289) }
    """
    y = np.zeros(1, "f4")
    launch(written(tmp_path, text), (1,), (1,), y)
    assert y[0] == 1
    with pytest.raises(EmulatorError, match="bytes of static and 0 of dynamic"):
        launch(written(tmp_path, text, "larger"), (1,), (1,), y, sanitize=False)  # which makes all larger


def test_the_capability_is_what_a_test_says():
    assert EmulatedRuntime().capability == (8, 0)
    assert EmulatedRuntime(capability=(9, 0)).capability == (9, 0)


def test_what_does_not_compile_is_said(tmp_path):
    with pytest.raises(EmulatorError, match="undeclared_name"):
        launch(written(tmp_path, 'extern "C" __global__ void kernel() { undeclared_name = 1; }'), (1,), (1,))


def test_a_header_beside_the_kernel_is_seen_when_it_changes(tmp_path):
    source = written(tmp_path, '#include "it.cuh"\nextern "C" __global__ void kernel(int* y) { *y = IT; }')
    y = np.zeros(1, "i4")
    for value in (1, 2):
        (tmp_path / "it.cuh").write_text(f"#define IT {value}\n")
        launch(source, (1,), (1,), y, cache=tmp_path / "cache")
        assert y[0] == value
    assert len(list((tmp_path / "cache").glob("*.so"))) == 2


def test_threads_that_need_a_library_at_once_share_it_and_its_lock(monkeypatch):
    def load_slowly(path):
        time.sleep(0.2)
        return types.SimpleNamespace(
            convhub_launch=types.SimpleNamespace(), convhub_static_shared=types.SimpleNamespace()
        )

    monkeypatch.setattr(compiling.ctypes, "CDLL", load_slowly)
    path = pathlib.Path("loaded-by-several-threads.so")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compiling.load, [path] * 4))
    assert len({id(library.lock) for library in found}) == 1
