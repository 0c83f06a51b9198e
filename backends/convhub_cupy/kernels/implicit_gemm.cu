// Forward, and each phase of grad_input, as a matrix product whose right side is read from the image in place:
// TILE_M output channels by TILE_N pixels a block, THREAD_M by THREAD_N a thread, TILE_K terms at a time.
//
// Terms are ordered by taps, then channels, so that a step of TILE_K terms has one tap (TAPS_OUTER 1), or, where
// there are few channels, by channels, then taps. Two buffers: the next step is read while this one is summed.

#include "correlation.cuh"
#include "register_tile.cuh"

#define LOADS_M (TILE_M * TILE_K / THREADS)
#define LOADS_N (TILE_N * TILE_K / THREADS)
static_assert(THREADS >= TILE_N && THREADS % TILE_N == 0 && THREADS % TILE_M == 0, "threads divide the tiles evenly");

extern "C" __global__ void __launch_bounds__(THREADS, 1) implicit_gemm(CORRELATION) {
    __shared__ __align__(16) TOTAL left[2][TILE_K][TILE_M + 4];
    __shared__ __align__(16) TOTAL right[2][TILE_K][TILE_N + 4];

    INDEX pixels = (INDEX)images * rows_count * columns_count;
    INDEX pixel_tiles = (pixels + TILE_N - 1) / TILE_N;
    int channel_tiles = (M + TILE_M - 1) / TILE_M;
    INDEX block = blockIdx.x;
    INDEX pixel0 = block % pixel_tiles * TILE_N;
    block /= pixel_tiles;
    int m0 = (int)(block % channel_tiles) * TILE_M, g = (int)(block / channel_tiles);

    // What this thread reads: LOADS_M terms of one channel of the weight, LOADS_N terms of one pixel of the image.
    const int thread = threadIdx.x;
    const int weight_channel = thread % TILE_M, first_weight_term = thread / TILE_M;
    const int read_pixel = thread % TILE_N, first_term = thread / TILE_N;
    INDEX pixel = pixel0 + read_pixel;
    bool pixel_exists = pixel < pixels;
    int b = (int)(pixel % columns_count), a = (int)(pixel / columns_count % rows_count);
    INDEX n = pixel / columns_count / rows_count;
    const ELEMENT *image = source + (pixel_exists ? n * source_n + (INDEX)g * C * source_c : 0);
    INDEX h0 = (INDEX)a * rows_source_step + rows_shift, w0 = (INDEX)b * columns_source_step + columns_shift;
    const bool channel_exists = m0 + weight_channel < M;
    const ELEMENT *kernels = weight + (channel_exists ? g * weight_g + (m0 + weight_channel) * weight_m : 0);

    const int taps = rows_taps * columns_taps;
#if TAPS_OUTER
    const int padded = (C + TILE_K - 1) / TILE_K * TILE_K;
    const int steps = taps * (padded / TILE_K);
#else
    const int steps = (int)(((INDEX)C * taps + TILE_K - 1) / TILE_K);
#endif

    TOTAL weights[LOADS_M], sources[LOADS_N];

    auto read = [&](int step) {
#if TAPS_OUTER
        int tap = step / (padded / TILE_K), c0 = step % (padded / TILE_K) * TILE_K;
#endif
        auto locate = [&](int kk, int &c, int &r, int &s) {
#if TAPS_OUTER
            c = c0 + kk;
            r = tap / columns_taps;
            s = tap % columns_taps;
            return c < C;
#else
            INDEX k = (INDEX)step * TILE_K + kk;
            c = (int)(k / taps);
            int t = (int)(k % taps);
            r = t / columns_taps;
            s = t % columns_taps;
            return c < C;
#endif
        };
        int c, r, s;
#pragma unroll
        for (int i = 0; i < LOADS_M; i++) {
            bool exists = locate(first_weight_term + i * (THREADS / TILE_M), c, r, s) && channel_exists;
            INDEX tap = (rows_tap_first + (INDEX)r * rows_tap_step) * weight_r +
                        (columns_tap_first + (INDEX)s * columns_tap_step) * weight_s;
            weights[i] = exists ? widened(kernels[c * weight_c + tap]) : TOTAL{};
        }
#pragma unroll
        for (int i = 0; i < LOADS_N; i++) {
            bool there = locate(first_term + i * (THREADS / TILE_N), c, r, s) && pixel_exists;
            INDEX h = h0 + (INDEX)r * rows_tap_shift, w = w0 + (INDEX)s * columns_tap_shift;
            there = there && h >= 0 && h < height && w >= 0 && w < width;
            sources[i] = there ? widened(image[c * source_c + h * source_h + w * source_w]) : TOTAL{};
        }
    };
    auto keep = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < LOADS_M; i++)
            left[buffer][first_weight_term + i * (THREADS / TILE_M)][weight_channel] = weights[i];
#pragma unroll
        for (int i = 0; i < LOADS_N; i++) right[buffer][first_term + i * (THREADS / TILE_N)][read_pixel] = sources[i];
    };

    TOTAL sums[THREAD_M][THREAD_N] = {};
    TOTAL totals[THREAD_M][THREAD_N] = {};
    if (steps > 0) {
        read(0);
        keep(0);
    }
    for (int step = 0; step < steps; step++) {
        int buffer = step % 2;
        __syncthreads();
        if (step + 1 < steps) read(step + 1);
#pragma unroll
        for (int kk = 0; kk < TILE_K; kk++) add_products(sums, left[buffer][kk], right[buffer][kk], thread);
        if (step % (RUN / TILE_K) == RUN / TILE_K - 1) end_run(totals, sums);
        if (step + 1 < steps) keep(1 - buffer);
    }

#pragma unroll
    for (int j = 0; j < THREAD_N; j++) {
        INDEX written = pixel0 + tile_column(thread, j);
        if (written >= pixels) continue;
        INDEX image_number = written / columns_count / rows_count;
        INDEX row = rows_first + written / columns_count % rows_count * rows_step;
        INDEX column = columns_first + written % columns_count * columns_step;
#pragma unroll
        for (int i = 0; i < THREAD_M; i++) {
            int m = m0 + tile_row(thread, i);
            if (m >= M) continue;
            TOTAL total = sums[i][j];
            total = plus(totals[i][j], total);
            INDEX channel = (INDEX)g * M + m;
            if (bias) total = plus(total, widened(bias[channel * bias_m]));
            narrow(total, out[((image_number * groups * M + channel) * out_height + row) * out_width + column]);
        }
    }
}
