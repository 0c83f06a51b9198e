// The gradient of the weight as a matrix product over pixels, which are cut into parts of a fixed length: each
// part has its own sums, added up in their order by `add_parts`. The bits depend on nothing but the problem.

#include "correlation.cuh"
#include "register_tile.cuh"

#define LOADS_M (TILE_M * TILE_K / THREADS)
#define LOADS_N (TILE_N * TILE_K / THREADS)
static_assert(THREADS % TILE_K == 0, "each thread reads one pixel of a step");

// `dy` is (images, groups * M, P, Q) and `x` (images, groups * C, H, W), with strides; `sums` is
// (parts, groups * M, C * R * S). A part is `part_pixels` pixels of all images, a multiple of TILE_K.
extern "C" __global__ void __launch_bounds__(THREADS, 1) grad_weight(
    const ELEMENT *__restrict__ dy, const ELEMENT *__restrict__ x, TOTAL *__restrict__ sums, int images, int groups,
    int M, int C, int R, int S, int P, int Q, int height, int width, INDEX dy_n, INDEX dy_k, INDEX dy_p,
    INDEX dy_q, INDEX x_n, INDEX x_c, INDEX x_h, INDEX x_w, int stride_h, int stride_w,
    int dilation_h, int dilation_w, int top, int left, INDEX part_pixels) {
    __shared__ __align__(16) TOTAL gradients[2][TILE_K][TILE_M + 4];
    __shared__ __align__(16) TOTAL sources[2][TILE_K][TILE_N + 4];

    const int columns = C * R * S;
    const int column_tiles = (columns + TILE_N - 1) / TILE_N, channel_tiles = (M + TILE_M - 1) / TILE_M;
    INDEX block = blockIdx.x;
    const int column0 = (int)(block % column_tiles) * TILE_N;
    block /= column_tiles;
    const int m0 = (int)(block % channel_tiles) * TILE_M;
    block /= channel_tiles;
    const int g = (int)(block % groups);
    const INDEX part = block / groups;
    const INDEX pixels = (INDEX)images * P * Q, first = part * part_pixels;
    const INDEX end = first + part_pixels < pixels ? first + part_pixels : pixels;

    // This thread reads one pixel of each step: of LOADS_M channels of dy, and under LOADS_N taps of x.
    const int thread = threadIdx.x, term = thread % TILE_K, row = thread / TILE_K;
    INDEX tap_offset[LOADS_N];
    int tap_h[LOADS_N], tap_w[LOADS_N];
#pragma unroll
    for (int i = 0; i < LOADS_N; i++) {
        int j = column0 + row + i * (THREADS / TILE_K);
        int s = j % S, r = j / S % R, c = j / S / R;
        tap_h[i] = r * dilation_h - top;
        tap_w[i] = j < columns ? s * dilation_w - left : -(1 << 30);  // where no tap is, nothing is met
        tap_offset[i] = ((INDEX)g * C + c) * x_c + tap_h[i] * x_h + (j < columns ? tap_w[i] * x_w : 0);
    }

    TOTAL read_gradients[LOADS_M], read_sources[LOADS_N];
    auto read = [&](INDEX step) {
        INDEX pixel = first + step * TILE_K + term;
        bool exists = pixel < end;
        int q = (int)(pixel % Q), p = (int)(pixel / Q % P);
        INDEX n = pixel / Q / P;
        const ELEMENT *gradient = dy + n * dy_n + p * dy_p + q * dy_q + (INDEX)g * M * dy_k;
#pragma unroll
        for (int i = 0; i < LOADS_M; i++) {
            int m = m0 + row + i * (THREADS / TILE_K);
            read_gradients[i] = exists && m < M ? widened(gradient[m * dy_k]) : TOTAL{};
        }
        INDEX base_h = (INDEX)p * stride_h, base_w = (INDEX)q * stride_w;
        INDEX base = n * x_n + base_h * x_h + base_w * x_w;
#pragma unroll
        for (int i = 0; i < LOADS_N; i++) {
            INDEX h = base_h + tap_h[i], w = base_w + tap_w[i];
            bool there = exists && h >= 0 && h < height && w >= 0 && w < width;
            read_sources[i] = there ? widened(x[base + tap_offset[i]]) : TOTAL{};
        }
    };
    auto keep = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < LOADS_M; i++) gradients[buffer][term][row + i * (THREADS / TILE_K)] = read_gradients[i];
#pragma unroll
        for (int i = 0; i < LOADS_N; i++) sources[buffer][term][row + i * (THREADS / TILE_K)] = read_sources[i];
    };

    TOTAL part_sums[THREAD_M][THREAD_N] = {}, totals[THREAD_M][THREAD_N] = {};
    const INDEX steps = (end - first + TILE_K - 1) / TILE_K;
    read(0);
    keep(0);
    for (INDEX step = 0; step < steps; step++) {
        const int buffer = (int)(step % 2);
        __syncthreads();
        if (step + 1 < steps) read(step + 1);
#pragma unroll
        for (int kk = 0; kk < TILE_K; kk++) add_products(part_sums, gradients[buffer][kk], sources[buffer][kk], thread);
        if (step % (RUN / TILE_K) == RUN / TILE_K - 1) end_run(totals, part_sums);
        if (step + 1 < steps) keep(1 - buffer);
    }

#pragma unroll
    for (int i = 0; i < THREAD_M; i++) {
        int m = m0 + tile_row(thread, i);
        if (m >= M) continue;
#pragma unroll
        for (int j = 0; j < THREAD_N; j++) {
            int column = column0 + tile_column(thread, j);
            if (column < columns)
                sums[((part * groups + g) * M + m) * columns + column] = plus(totals[i][j], part_sums[i][j]);
        }
    }
}

// Add the parts of each of `count` elements in their order, by twos, so that the error stays that of a few sums.
extern "C" __global__ void __launch_bounds__(256, 1) add_parts(
    const TOTAL *__restrict__ sums, ELEMENT *__restrict__ dw, INDEX count, int parts) {
    INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    TOTAL total{};
    for (int part0 = 0; part0 < parts; part0 += 16) {
        TOTAL some{};
        int part1 = part0 + 16 < parts ? part0 + 16 : parts;
        for (int part = part0; part < part1; part++) some = plus(some, sums[part * count + i]);
        total = plus(total, some);
    }
    narrow(total, dw[i]);
}
