"""The .cu texts that the emulator's tests run, and how a test gets one launched."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """As in `convhub_cupy.plan.variants`."""

    file: str
    name: str
    options: tuple[str, ...] = ()


def written(folder: Path, text: str, name: str = "kernel", *options: str) -> Source:
    """Return the source of the kernel `name` in `text`, put in a file of its own."""
    path = folder / "kernel.cu"
    path.write_text(text)
    return Source(str(path), name, options)


#: A sum of each block's values, in a tree; `SYNC` is what stands between its levels.
REDUCTION = """
#ifndef SYNC
#define SYNC __syncthreads()
#endif
extern "C" __global__ void __launch_bounds__(128) kernel(
    const float* __restrict__ x, float* out, long long n) {
    __shared__ float sums[128];
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    sums[threadIdx.x] = i < n ? __ldg(x + i) : 0.0f;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        SYNC;
    }
    if (threadIdx.x == 0) out[blockIdx.x] = sums[0];
}
"""

#: C = A B, of any sizes, tiles of 64 x 64 x 16 and 4 x 4 results a thread; `EDGE` is one past the last row.
PRODUCT = """
#ifndef EDGE
#define EDGE m
#endif
extern "C" __global__ void __launch_bounds__(256) kernel(
    const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ float left[16][64 + 4];
    __shared__ __align__(16) float right[16][64];
    int thread = threadIdx.x, row0 = blockIdx.y * 64, column0 = blockIdx.x * 64;
    float sums[4][4] = {};
    for (int k0 = 0; k0 < k; k0 += 16) {
        for (int i = thread; i < 64 * 16; i += 256) {
            int row = row0 + i / 16, column = k0 + i % 16;
            left[i % 16][i / 16] = row < EDGE && column < k ? a[(long long)row * k + column] : 0.0f;
            row = k0 + i / 64, column = column0 + i % 64;
            right[i / 64][i % 64] = row < k && column < n ? b[(long long)row * n + column] : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < 16; kk++) {
            float4 of_b = *reinterpret_cast<const float4*>(&right[kk][thread % 16 * 4]);
            float of_bs[4] = {of_b.x, of_b.y, of_b.z, of_b.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    sums[i][j] = fmaf(left[kk][thread / 16 * 4 + i], of_bs[j], sums[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int row = row0 + thread / 16 * 4 + i, column = column0 + thread % 16 * 4 + j;
            if (row < m && column < n) c[(long long)row * n + column] = sums[i][j];
        }
}
"""

#: One warp multiplies 16 x K by K x 8 on tensor cores, through shared memory and ldmatrix.
TENSOR_CORES = """
extern "C" __global__ void kernel(
    const unsigned short* a, const unsigned short* b, const unsigned short* b_rows, float* c) {
    __shared__ __align__(16) unsigned short left[16][16], right[8][16], right_rows[16][8];
    int lane = threadIdx.x;
    for (int i = lane; i < 256; i += 32) left[i / 16][i % 16] = a[i];
    for (int i = lane; i < 128; i += 32) right[i / 16][i % 16] = b[i];
    for (int i = lane; i < 128; i += 32) right_rows[i / 8][i % 8] = b_rows[i];
    __syncwarp();
    unsigned of_a[4], of_b[2], of_rows[2];
    emulated_ldmatrix<4>(of_a, &left[lane % 16][lane / 16 * 8]);
    emulated_ldmatrix<2>(of_b, &right[lane % 8][lane / 8 % 2 * 8]);
    emulated_ldmatrix<2, true>(of_rows, &right_rows[lane % 16][0]);
    if (of_b[0] != of_rows[0] || of_b[1] != of_rows[1]) __trap();
    float sums[4];
    for (int i = 0; i < 4; i++) sums[i] = c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
    MMA(sums, of_a, of_b);
    for (int i = 0; i < 4; i++) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}
"""

#: The same with registers filled by hand.
TF32 = """
extern "C" __global__ void kernel(const float* a, const float* b, float* c) {
    int lane = threadIdx.x, group = lane / 4, place = lane % 4;
    unsigned of_a[4], of_b[2];
    for (int i = 0; i < 4; i++) of_a[i] = CONVERT(a[(group + i % 2 * 8) * 8 + place + i / 2 * 4]);
    for (int i = 0; i < 2; i++) of_b[i] = CONVERT(b[(place + i * 4) * 8 + group]);
    float sums[4] = {};
    emulated_mma_m16n8k8_tf32(sums, of_a, of_b);
    for (int i = 0; i < 4; i++) c[(group + i / 2 * 8) * 8 + place * 2 + i % 2] = sums[i];
}
"""

#: Each thread brings its number by cp.async; `WAIT` is what stands before it is read.
ASYNC_COPY = """
#ifndef WAIT
#define WAIT emulated_cp_async_wait<1>(); __syncthreads();
#endif
extern "C" __global__ void kernel(const float* x, float* out) {
    DYNAMIC_SHARED(float, tile);
    int i = threadIdx.x, last = blockDim.x - 1;
    emulated_cp_async<4>(tile + i, x + i);
    emulated_cp_async_commit();
    emulated_cp_async<4>(tile + blockDim.x + i, x, 0);
    emulated_cp_async_commit();
    WAIT
    out[i] = tile[last - i];
    out[blockDim.x + i] = tile[blockDim.x + i];
    __syncthreads();
    emulated_cp_async_wait_all();
    __syncthreads();
    out[2 * blockDim.x + i] = tile[blockDim.x + last - i];
}
"""
