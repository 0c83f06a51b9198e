"""The emulator of CUDA kernels: that it finds the faults for which it was made, each planted on purpose."""

import ctypes
import textwrap

import numpy as np
import pytest

from . import EmulatedRuntime, EmulatorError, sanitizer_is_loaded, why_not
from .kernels_for_tests import ASYNC_COPY, PRODUCT, REDUCTION, written
from .runtime import _addresses
from .sanitized import run, sanitizers

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
needs_sanitizers = pytest.mark.skipif(sanitizers() is None, reason="g++ has no libasan.so")


def launch(source, block, *arguments, seed=0, grid=(1, 1, 1), shared_bytes=0):
    EmulatedRuntime(seed).launch(source, grid, (block, 1, 1), arguments, shared_bytes)


def sums_of_ones(source):
    """Return what the reduction gives for 128 ones, for each of some seeds."""
    results = []
    for seed in range(5):
        out = np.zeros(1, "f4")
        launch(source, 128, np.ones(128, "f4"), out, np.int64(128), seed=seed)
        results.append(float(out[0]))
    return results


def test_a_missing_barrier(tmp_path):
    assert sums_of_ones(written(tmp_path, REDUCTION)) == [128.0] * 5
    assert set(sums_of_ones(written(tmp_path, REDUCTION, "kernel", "-DSYNC="))) != {128.0}


def test_a_barrier_of_the_warp_where_the_block_needs_one(tmp_path):
    source = written(tmp_path, REDUCTION, "kernel", "-DSYNC=__syncwarp(__ballot_sync(~0u,1))")
    assert set(sums_of_ones(source)) != {128.0}


def test_shared_memory_that_was_never_written(tmp_path):
    text = """
    extern "C" __global__ void kernel(float* out) {
        DYNAMIC_SHARED(float, dynamic);
        __shared__ float never[64], once[64];
        if (blockIdx.x == 0) once[threadIdx.x] = dynamic[threadIdx.x] = 1.0f;
        __syncthreads();
        float* own = out + 3 * (blockIdx.x * blockDim.x + threadIdx.x);
        own[0] = never[threadIdx.x];
        own[1] = once[threadIdx.x];
        own[2] = dynamic[threadIdx.x];
    }
    """
    out = np.zeros((4, 64, 3), "f4")
    launch(written(tmp_path, text), 64, out, grid=(4, 1, 1), shared_bytes=256)
    assert (out[0, :, 1:] == 1).all()
    assert np.isnan(out[0, :, 0]).all()
    assert np.isnan(out[1:]).all(), "what an earlier block wrote is still there"


@pytest.mark.parametrize("wait", ["__syncthreads();", "emulated_cp_async_wait<2>();__syncthreads();"])
def test_an_asynchronous_copy_that_is_not_waited_for(tmp_path, wait):
    out = np.zeros((3, 64), "f4")
    source = written(tmp_path, ASYNC_COPY, "kernel", f"-DWAIT={wait}")
    launch(source, 64, np.ones(64, "f4"), out, shared_bytes=512)
    assert np.isnan(out[0]).all()


def test_a_race_for_one_cell(tmp_path):
    text = """
    extern "C" __global__ void kernel(int* out) {
        __shared__ int cell;
        cell = threadIdx.x;
        __syncthreads();
        if (threadIdx.x == 0) out[blockIdx.x] = cell;
    }
    """
    source = written(tmp_path, text)
    results = []
    for seed in (0, 1, 2, 0):
        out = np.zeros(8, "i4")
        launch(source, 64, out, seed=seed, grid=(8, 1, 1))
        results.append(out.tolist())
    assert results[0] == results[3], "a seed repeats what it did"
    assert len(set(map(str, results))) == 3
    assert len(set(results[0])) > 1


def test_blocks_that_count_on_their_order(tmp_path):
    text = """
    extern "C" __global__ void kernel(int* out) {
        out[blockIdx.x + 1] = out[blockIdx.x] + 1;
    }
    """
    out = np.zeros(9, "i4")
    launch(written(tmp_path, text), 1, out, grid=(8, 1, 1))
    assert out.tolist() != list(range(9))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("if (threadIdx.x < 7) __syncthreads();\nelse\n__syncthreads();", "divergent __syncthreads"),
        ("if (threadIdx.x < 7)\n__syncthreads();\n__syncthreads();", "divergent __syncthreads"),
        (
            "if (threadIdx.x < 7) __syncwarp();\n__syncthreads();",
            "__syncwarp for lanes ffffff80, which never",
        ),
        (
            "if (threadIdx.x) *out = __shfl_sync(~0u, 1, 1);\n__syncthreads();",
            "for lanes 00000001, which never",
        ),
        ("if (threadIdx.x % 2) *out = __shfl_sync(0x55555555, 1, 0);", "mask 55555555, which lacks it"),
        ("if (threadIdx.x == 9) __trap();", "__trap .thread 9,0,0 of block 0,0,0, at .*kernel.cu"),
        ("int* nowhere = nullptr;\nif (threadIdx.x) nowhere[threadIdx.x] = 1;", "memory that does not exist"),
        ("assert(threadIdx.x != 8);", "assert.threadIdx.x != 8. .thread 8,0,0"),
        ("*out = 7 / *out;", "an integer division by zero"),
        (
            "volatile int many[16384];\nfor (int i = 0; i < 16384; i++) many[i] = i;",
            "overflowed|does not exist",
        ),
        ("unsigned r[4];\nemulated_ldmatrix<4>(r, out);", "ldmatrix from what is not shared memory"),
        ("__shared__ int to[9];\nemulated_cp_async<8>(to + 1, out);", "which are not aligned"),
        ("emulated_cp_async<4>(out, out);", "cp.async to what is not shared memory"),
    ],
)
def test_what_ends_a_launch_with_an_error(tmp_path, body, words):
    source = written(tmp_path, f'extern "C" __global__ void kernel(int* out) {{\n{body}\n}}')
    out = np.zeros(1, "i4")
    for seed in range(3):
        with pytest.raises(EmulatorError, match=words):
            launch(source, 32, out, seed=seed)


def in_child(tmp_path, text, call, *options):
    """Launch a kernel under the sanitizers, as `call` says, and return how that process ended."""
    source = written(tmp_path, text, "kernel", *options)
    script = f"""
        import numpy as np
        from gpu.emulator import EmulatedRuntime
        from gpu.emulator.kernels_for_tests import Source
        runtime = EmulatedRuntime(sanitize=True)
        def launch(*rest):
            runtime.launch({source!r}, *rest)
        {call}
        print("ended well")
    """
    return run(["-c", textwrap.dedent(script)], capture_output=True, timeout=120)


def assert_reported(done, *words):
    assert done.returncode != 0, done.stdout
    assert "ended well" not in done.stdout
    for word in words:
        assert word in done.stderr, done.stderr[-4000:]


SMALL_PRODUCT = (
    "a, b = (np.full((70, 70), value, 'f4') for value in (2, 3)); c = np.zeros((70, 70), 'f4'); "
    "launch((2, 2, 1), (256, 1, 1), [a, b, c, *map(np.int32, (70, 70, 70))]); assert (c == 420).all()"
)


@needs_sanitizers
def test_a_right_kernel_is_not_reported(tmp_path):
    done = in_child(tmp_path, PRODUCT, SMALL_PRODUCT)
    assert (done.returncode, done.stdout) == (0, "ended well\n"), done.stderr[-4000:]


@needs_sanitizers
def test_an_edge_off_by_one(tmp_path):
    done = in_child(tmp_path, PRODUCT, SMALL_PRODUCT, "-DEDGE=m+1")
    assert_reported(done, "heap-buffer-overflow", "READ of size 4", "kernel.cu")


@needs_sanitizers
def test_shared_memory_off_by_one(tmp_path):
    text = """
    extern "C" __global__ void kernel(float* out) {
        DYNAMIC_SHARED(float, dynamic);
        __shared__ float fixed[64];
        float* from = STATIC ? fixed : dynamic;
        from[threadIdx.x + 1] = 1.0f;
        __syncthreads();
        out[threadIdx.x] = from[threadIdx.x];
    }
    """
    call = "launch((1, 1, 1), (64, 1, 1), [np.zeros(64, 'f4')], 256)"
    # Of an array whose size it knows, UBSan is the first to complain.
    for static, words in (
        (0, "heap-buffer-overflow"),
        (1, "insufficient space for an object"),
    ):
        assert_reported(in_child(tmp_path, text, call, f"-DSTATIC={static}"), words, "kernel.cu:6")


@needs_sanitizers
def test_an_index_that_overflows_32_bits(tmp_path):
    text = """
    extern "C" __global__ void kernel(float* x, int row, int stride) {
        if (row * stride >= 0) x[0] = 1.0f;
    }
    """
    call = "launch((1, 1, 1), (1, 1, 1), [np.zeros(1, 'f4'), np.int32(65536), np.int32({})])"
    assert in_child(tmp_path, text, call.format(32767)).returncode == 0
    assert_reported(in_child(tmp_path, text, call.format(32768)), "signed integer overflow", "kernel.cu:3")


def test_copies_of_exact_size_are_of_the_memory_that_arrays_share():
    whole = np.arange(100, dtype="f4")
    backwards, odd, apart = whole[40::-2], whole[31:60:2], np.zeros(0, "f4")
    frozen = whole[61:80]
    frozen.flags.writeable = False
    with _addresses([backwards, None, odd, frozen, apart, np.int32(1)], exact=True) as addresses:
        assert addresses[0] - addresses[2] == backwards.ctypes.data - odd.ctypes.data
        assert addresses[1] == addresses[5] == 0
        assert addresses[3] % 16 == frozen.ctypes.data % 16
        ctypes.memmove(addresses[0], np.float32(-1).tobytes(), 4)
        ctypes.memmove(addresses[2] + 28 * 4, np.float32(-2).tobytes(), 4)
        ctypes.memmove(addresses[3], b"four", 4)
    assert (whole[40], whole[59], whole[61]) == (-1, -2, 61)


@needs_sanitizers
def test_a_selection_of_pytest_under_the_sanitizers(tmp_path):
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(f"""
        import numpy as np
        from gpu.emulator import EmulatedRuntime
        from gpu.emulator.kernels_for_tests import PRODUCT, written

        def test_it(tmp_path):
            runtime = EmulatedRuntime(sanitize=None)
            assert runtime.sanitize
            def launch(*rest):
                runtime.launch(written(tmp_path, PRODUCT, "kernel", "-DEDGE=m+1"), *rest)
            {SMALL_PRODUCT}
        """)
    )
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", str(tmp_path / "test_it.py")]
    done = run(command, capture_output=True, timeout=120, cwd=tmp_path)
    assert_reported(done, "heap-buffer-overflow", "kernel.cu")


def test_sanitizing_needs_its_process():
    if sanitizer_is_loaded():
        pytest.skip("and this process is one")
    with pytest.raises(EmulatorError, match="gpu.emulator.sanitized"):
        EmulatedRuntime(sanitize=True)
