// The gradient of the weight on tensor cores: a product over pixels of packed gradients and packed sources, whose
// columns are chunks of channels, tap by tap. Pixels are cut into parts, each with sums of its own, which
// `tensor_add_parts` adds in their order. TILE_M output channels by TILE_N columns a block, WARP_M by 32 a warp.
//
// Rows of shared memory are pixels. Their chunks lie where the lanes that read at once find different banks.

#include "correlation.cuh"
#include "tensor_core.cuh"

#define WARP_N 32
#define WARPS_N (TILE_N / WARP_N)
#define THREADS (32 * WARPS_N * (TILE_M / WARP_M))
// Blocks of a multiprocessor: two of 256 threads, with 128 registers each; TF32, which reads one number at a time,
// needs more where tiles are large.
#define RESIDENT (IS_TF32 && TILE_M > 64 ? 1 : 512 / THREADS)
#define STAGES 3
#define PIXELS (IS_TF32 ? 16 : 32)  // of a step: two products
#define CHUNKS_M (TILE_M / CHUNK)
#define CHUNKS_N (TILE_N / CHUNK)
#define ROWS_M (THREADS / CHUNKS_M)  // copied at once
#define ROWS_N (THREADS / CHUNKS_N)
static_assert(THREADS % CHUNKS_M == 0 && THREADS % CHUNKS_N == 0, "a thread copies the same chunk of several rows");
static_assert(CHUNKS_M >= 8 && CHUNKS_N >= 8, "chunks change places within eight");
static_assert(PIXELS % ROWS_M == 0 && PIXELS % ROWS_N == 0, "threads copy alike");

struct __align__(16) Chunk { ELEMENT elements[CHUNK]; };

// Eight rows, read by ldmatrix, or four, read by the lanes of a product of TF32, have chunks in different banks.
__device__ __forceinline__ int swizzled(int row, int chunk) { return chunk ^ (IS_TF32 ? row % 4 * 2 : row % 8); }

// Fragments of `multiply`, from rows that are terms and not, as there, channels. `column` is the first of 16 of a,
// and of two times 8 of b.
template <int CHUNKS>
__device__ __forceinline__ void load_a(unsigned (&a)[4], const Chunk *rows, int term, int column, int lane) {
#if IS_TF32
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int row = term + lane % 4 + i / 2 * 4, place = column + lane / 4 + i % 2 * 8;
        a[i] = bits_of(rows[row * CHUNKS + swizzled(row, place / CHUNK)].elements[place % CHUNK]);
    }
#else
    int row = term + lane / 16 * 8 + lane % 8, place = column + lane / 8 % 2 * 8;
    load_transposed(a, rows + row * CHUNKS + swizzled(row, place / CHUNK));
#endif
}

template <int CHUNKS>
__device__ __forceinline__ void load_b(unsigned (&b)[4], const Chunk *rows, int term, int column, int lane) {
#if IS_TF32
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int row = term + lane % 4 + i % 2 * 4, place = column + lane / 4 + i / 2 * 8;
        b[i] = bits_of(rows[row * CHUNKS + swizzled(row, place / CHUNK)].elements[place % CHUNK]);
    }
#else
    int row = term + lane / 8 % 2 * 8 + lane % 8, place = column + lane / 16 * 8;
    load_transposed(b, rows + row * CHUNKS + swizzled(row, place / CHUNK));
#endif
}

// `dy` is packed as (images, P, Q, groups, chunks of M), `x` as (images, height, width, groups, chunks of C); `sums`
// is (parts, groups * M, R, S, chunks of C). A part is `part_pixels` pixels of all images, a multiple of PIXELS.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) tensor_weight(
    const ELEMENT *__restrict__ dy, const ELEMENT *__restrict__ x, float *__restrict__ sums, int images, int groups,
    int M, int C, int R, int S, int P, int Q, int height, int width, int stride_h, int stride_w, int dilation_h,
    int dilation_w, int top, int left, INDEX part_pixels) {
    __shared__ __align__(16) Chunk tiles[STAGES][PIXELS * (CHUNKS_M + CHUNKS_N)];

    const int chunks_m = (M + CHUNK - 1) / CHUNK, chunks_c = (C + CHUNK - 1) / CHUNK;
    const int column_chunks = R * S * chunks_c;
    const int column_tiles = (column_chunks + CHUNKS_N - 1) / CHUNKS_N, channel_tiles = (M + TILE_M - 1) / TILE_M;
    INDEX block = blockIdx.x;
    const int column0 = (int)(block % column_tiles) * CHUNKS_N;
    block /= column_tiles;
    const int m0 = (int)(block % channel_tiles) * TILE_M;
    block /= channel_tiles;
    const int g = (int)(block % groups);
    const INDEX part = block / groups;
    const INDEX pixels = (INDEX)images * P * Q, first = part * part_pixels;
    const INDEX end = first + part_pixels < pixels ? first + part_pixels : pixels;

    // What this thread copies of each step: one chunk of channels of dy, and one chunk under one tap of x.
    const int thread = threadIdx.x;
    const Chunk *gradients = (const Chunk *)dy, *sources = (const Chunk *)x;
    const int chunk_m = thread % CHUNKS_M, row_m = thread / CHUNKS_M;
    const int chunk_n = thread % CHUNKS_N, row_n = thread / CHUNKS_N;
    const int place_m = m0 / CHUNK + chunk_m, place_n = column0 + chunk_n;
    const bool m_exists = place_m < chunks_m, n_exists = place_n < column_chunks;
    const int tap = place_n / chunks_c;
    const int tap_h = tap / S * dilation_h - top, tap_w = tap % S * dilation_w - left, c = place_n % chunks_c;

    // The pixel of each row of x, moved on by a step without a division.
    const int next_q = PIXELS % Q, next_p = PIXELS / Q % P, next_n = PIXELS / Q / P;
    INDEX pixel = first;
    int p[PIXELS / ROWS_N], q[PIXELS / ROWS_N];
    INDEX n[PIXELS / ROWS_N];
#pragma unroll
    for (int i = 0; i < PIXELS / ROWS_N; i++) {
        INDEX own = first + row_n + i * ROWS_N;
        q[i] = (int)(own % Q);
        p[i] = (int)(own / Q % P);
        n[i] = own / Q / P;
    }
    auto copy = [&](int stage) {
        Chunk *of_gradients = tiles[stage], *of_sources = tiles[stage] + PIXELS * CHUNKS_M;
#pragma unroll
        for (int i = 0; i < PIXELS / ROWS_M; i++) {
            int row = row_m + i * ROWS_M;
            bool there = m_exists && pixel + row < end;
            copy_chunk(of_gradients + row * CHUNKS_M + swizzled(row, chunk_m),
                       gradients + (there ? ((pixel + row) * groups + g) * chunks_m + place_m : 0), there);
        }
#pragma unroll
        for (int i = 0; i < PIXELS / ROWS_N; i++) {
            int row = row_n + i * ROWS_N;
            INDEX h = (INDEX)p[i] * stride_h + tap_h, w = (INDEX)q[i] * stride_w + tap_w;
            bool there = n_exists && pixel + row < end && h >= 0 && h < height && w >= 0 && w < width;
            INDEX place = (((n[i] * height + h) * width + w) * groups + g) * chunks_c + c;
            copy_chunk(of_sources + row * CHUNKS_N + swizzled(row, chunk_n), sources + (there ? place : 0), there);
            q[i] += next_q;
            p[i] += next_p + (q[i] >= Q);
            q[i] -= q[i] >= Q ? Q : 0;
            n[i] += next_n + (p[i] >= P);
            p[i] -= p[i] >= P ? P : 0;
        }
        pixel += PIXELS;
    };

    const int lane = thread % 32, warp_m = thread / 32 / WARPS_N * WARP_M, warp_n = thread / 32 % WARPS_N * WARP_N;
    float totals[WARP_M / 16][4][4] = {};
    auto add = [&](int stage) {
        const Chunk *of_gradients = tiles[stage], *of_sources = tiles[stage] + PIXELS * CHUNKS_M;
#pragma unroll
        for (int term = 0; term < PIXELS; term += PIXELS / 2) {
            unsigned a[WARP_M / 16][4], b[2][4];
#pragma unroll
            for (int i = 0; i < WARP_M / 16; i++) load_a<CHUNKS_M>(a[i], of_gradients, term, warp_m + i * 16, lane);
#pragma unroll
            for (int j = 0; j < 2; j++) load_b<CHUNKS_N>(b[j], of_sources, term, warp_n + j * 16, lane);
#pragma unroll
            for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const unsigned of_columns[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                    multiply(totals[i][j], a[i], of_columns);
                }
        }
    };

    const INDEX steps = (end - first + PIXELS - 1) / PIXELS;
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        if (step < steps) copy(step);
        end_of_group();
    }
    for (INDEX step = 0; step < steps; step++) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        if (step + STAGES - 1 < steps) copy((int)((step + STAGES - 1) % STAGES));
        end_of_group();
        add((int)(step % STAGES));
    }

    const INDEX columns = (INDEX)column_chunks * CHUNK;
#pragma unroll
    for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int m = m0 + warp_m + i * 16 + half * 8 + lane / 4;
            if (m >= M) continue;
            float *row = sums + ((part * groups + g) * M + m) * columns;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                INDEX column = (INDEX)column0 * CHUNK + warp_n + j * 8 + lane % 4 * 2;
                if (column >= columns) continue;  // a chunk has an even number of columns
                row[column] = totals[i][j][half * 2];
                row[column + 1] = totals[i][j][half * 2 + 1];
            }
        }
}

// Add the parts of each weight in their order, and write it where it belongs: `dw` is (channels, C, R, S).
extern "C" __global__ void __launch_bounds__(256, 1) tensor_add_parts(
    const float *__restrict__ sums, ELEMENT *__restrict__ dw, INDEX channels, int C, int taps, int parts) {
    const INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= channels * C * taps) return;
    const INDEX columns = (INDEX)taps * ((C + CHUNK - 1) / CHUNK * CHUNK);
    const INDEX channel = i / taps / C;
    const float *first = sums + channel * columns + i % taps * (columns / taps) + i / taps % C;
    float total = 0;
    for (int part0 = 0; part0 < parts; part0 += 16) {
        float some = 0;
        int part1 = part0 + 16 < parts ? part0 + 16 : parts;
        for (int part = part0; part < part1; part++) some = plus(some, first[part * channels * columns]);
        total = plus(total, some);
    }
    narrow(total, dw[i]);
}
