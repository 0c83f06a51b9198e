// Forward, and each phase of grad_input, on tensor cores: a product of packed weights and packed pixels, whose
// terms are chunks of channels, tap by tap. TILE_M output channels by TILE_N pixels a block, WARP_M by 32 a warp.
//
// Rows of 64 bytes, one step's terms, are copied to shared memory STAGES - 1 steps ahead. Chunk c of row r lies
// at c ^ (r / 2 % 4), so that the eight rows that ldmatrix reads at once lie in different banks.

#include "correlation.cuh"
#include "tensor_core.cuh"

#define WARP_N 32
#define WARPS_N (TILE_N / WARP_N)
#define THREADS (32 * WARPS_N * (TILE_M / WARP_M))
#define STAGES 3
#define RESIDENT (512 / THREADS)  // blocks of a multiprocessor, whose threads have 128 registers then
#define STEP 4  // chunks
#define LOADS_M (TILE_M * STEP / THREADS)
#define LOADS_N (TILE_N * STEP / THREADS)
#define ROWS (THREADS / STEP)  // copied at once
static_assert(LOADS_M * THREADS == TILE_M * STEP && LOADS_N * THREADS == TILE_N * STEP, "threads copy alike");

struct __align__(16) Chunk { ELEMENT elements[CHUNK]; };

__device__ __forceinline__ int place_of(int row, int chunk) { return row * STEP + (chunk ^ (row / 2 % 4)); }

// A lane has the sums of columns 2 place, 2 place + 1 of each of four products. Which pixels these are is free:
// here eight neighbours, that is, row 8 i + 2 j + e of the tile has pixel 8 j + 2 i + e of its 32.
__device__ __forceinline__ int pixel_of(int row) {
    return row / 32 * 32 + row % 8 / 2 * 8 + row % 32 / 8 * 2 + row % 2;
}

// `source` is packed as (images, height, width, groups, chunks), `weight` as (groups, M, R, S, chunks); `bias` has
// groups * M elements or is null; `out` is (images, groups * M, out_height, out_width), contiguous.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) tensor_gemm(
    const ELEMENT *__restrict__ source, const ELEMENT *__restrict__ weight, const ELEMENT *__restrict__ bias,
    ELEMENT *__restrict__ out, int images, int groups, int M, int chunks, int R, int S, int height, int width,
    int out_height, int out_width, INDEX bias_m, AXIS(rows), AXIS(columns)) {
    __shared__ __align__(16) Chunk tiles[STAGES][(TILE_M + TILE_N) * STEP];

    const INDEX pixels = (INDEX)images * rows_count * columns_count;
    const int channel_tiles = (M + TILE_M - 1) / TILE_M;
    INDEX block = blockIdx.x;
    // Blocks that run at once share pixels, which are more bytes than weights.
    const int m0 = (int)(block % channel_tiles) * TILE_M;
    block /= channel_tiles;
    const int g = (int)(block % groups);
    const INDEX pixel0 = block / groups * TILE_N;

    // This thread copies one chunk of each step, of LOADS_M channels' weights and of LOADS_N pixels.
    const int thread = threadIdx.x, chunk = thread % STEP, first_row = thread / STEP;
    const Chunk *sources = (const Chunk *)source, *weights = (const Chunk *)weight;
    INDEX weight_place[LOADS_M], h0[LOADS_N], w0[LOADS_N], image_place[LOADS_N];
    bool weight_exists[LOADS_M], pixel_exists[LOADS_N];
#pragma unroll
    for (int i = 0; i < LOADS_M; i++) {
        int m = m0 + first_row + i * ROWS;
        weight_exists[i] = m < M;
        weight_place[i] = ((INDEX)g * M + m) * R * S * chunks;
    }
#pragma unroll
    for (int i = 0; i < LOADS_N; i++) {
        INDEX pixel = pixel0 + pixel_of(first_row + i * ROWS);
        pixel_exists[i] = pixel < pixels;
        h0[i] = pixel / columns_count % rows_count * rows_source_step + rows_shift;
        w0[i] = pixel % columns_count * columns_source_step + columns_shift;
        image_place[i] = (pixel / columns_count / rows_count * height * width * groups + g) * chunks;
    }

    int c = chunk, r = 0, s = 0;  // of this thread's chunk in the step that is copied next
    auto settle = [&] {
        while (c >= chunks) {
            c -= chunks;
            if (++s == columns_taps) {
                s = 0;
                r++;
            }
        }
    };
    auto copy = [&](int stage) {
        Chunk *of_weights = tiles[stage], *of_pixels = tiles[stage] + TILE_M * STEP;
        const bool exists = r < rows_taps;
        const INDEX tap = ((rows_tap_first + (INDEX)r * rows_tap_step) * S + columns_tap_first +
                           (INDEX)s * columns_tap_step) * chunks + c;
#pragma unroll
        for (int i = 0; i < LOADS_M; i++) {
            bool there = exists && weight_exists[i];
            copy_chunk(of_weights + place_of(first_row + i * ROWS, chunk),
                       weights + (there ? weight_place[i] + tap : 0), there);
        }
#pragma unroll
        for (int i = 0; i < LOADS_N; i++) {
            INDEX h = h0[i] + (INDEX)r * rows_tap_shift, w = w0[i] + (INDEX)s * columns_tap_shift;
            bool there = exists && pixel_exists[i] && h >= 0 && h < height && w >= 0 && w < width;
            copy_chunk(of_pixels + place_of(first_row + i * ROWS, chunk),
                       sources + (there ? image_place[i] + (h * width + w) * groups * chunks + c : 0), there);
        }
        c += STEP;
        settle();
    };

    const int lane = thread % 32, warp_m = thread / 32 / WARPS_N * WARP_M, warp_n = thread / 32 % WARPS_N * WARP_N;
    float sums[WARP_M / 16][4][4] = {};
    auto add = [&](int stage) {
        const Chunk *of_weights = tiles[stage], *of_pixels = tiles[stage] + TILE_M * STEP;
#pragma unroll
        for (int half = 0; half < STEP; half += 2) {
            unsigned a[WARP_M / 16][4], b[4][2];
#pragma unroll
            for (int i = 0; i < WARP_M / 16; i++)
                load_matrices(a[i], of_weights + place_of(warp_m + i * 16 + lane % 16, half + lane / 16));
#pragma unroll
            for (int j = 0; j < 4; j += 2)
                load_matrices(b[j], of_pixels + place_of(warp_n + j * 8 + lane / 16 * 8 + lane % 8, half + lane / 8 % 2));
#pragma unroll
            for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) multiply(sums[i][j], a[i], b[j]);
        }
    };

    const int steps = (int)(((INDEX)rows_taps * columns_taps * chunks + STEP - 1) / STEP);
    settle();
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        if (step < steps) copy(step);
        end_of_group();
    }
    for (int step = 0; step < steps; step++) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        // Into the stage that all have finished with, as they have passed the barrier.
        if (step + STAGES - 1 < steps) copy((step + STAGES - 1) % STAGES);
        end_of_group();
        add(step % STAGES);
    }

    // Eight neighbouring pixels of each of this lane's channels.
    INDEX place[8];
    const INDEX plane = (INDEX)out_height * out_width;
#pragma unroll
    for (int j = 0; j < 8; j++) {
        INDEX pixel = pixel0 + warp_n + lane % 4 * 8 + j;
        INDEX row = rows_first + pixel / columns_count % rows_count * rows_step;
        INDEX column = columns_first + pixel % columns_count * columns_step;
        INDEX image = pixel / columns_count / rows_count;
        place[j] = pixel < pixels ? image * groups * M * plane + row * out_width + column : -1;
    }
    const bool whole = place[7] == place[0] + 7 && place[0] % CHUNK == 0 && plane % CHUNK == 0;
#pragma unroll
    for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int m = m0 + warp_m + i * 16 + half * 8 + lane / 4;
            if (m >= M) continue;
            INDEX channel = (INDEX)g * M + m;
            float of_bias = bias ? widened(bias[channel * bias_m]) : 0.0f;
            __align__(16) ELEMENT made[8];
#pragma unroll
            for (int j = 0; j < 8; j++) narrow(sums[i][j / 2][half * 2 + j % 2] + of_bias, made[j]);
            ELEMENT *there = out + channel * plane;
            if (whole) {
#pragma unroll
                for (int j = 0; j < 8; j += CHUNK) *(Chunk *)(there + place[j]) = *(const Chunk *)(made + j);
            } else {
#pragma unroll
                for (int j = 0; j < 8; j++)
                    if (place[j] >= 0) there[place[j]] = made[j];
            }
        }
}
