// All of Winograd's F(2x2, 3x3) but the transform of the weight, at once. A block has 64 output channels and 32 tiles,
// and takes 8 channels in a step, each warp the products of 2 of the 16 points: the shape that Yan, Wang and Chu chose,
// since its sums fill the registers (Optimizing Batched Winograd Convolution on GPUs, PPoPP 2020).

#include "winograd.cuh"

#define TILES 32         // of a block: one for each lane, where pixels are read and outputs are written
#define RUN_CHANNELS 256 // are summed before they join the total, which waits in `out`: registers do not hold both
#define LOADS (CHANNELS * POINTS * TILE_M / 4 / THREADS)
static_assert(CHANNELS * 32 == THREADS && POINTS * 16 == THREADS, "a warp for each channel, and for two points");

// Where a lane's tile is: its image and first output; and its block's group and first output channel.
struct Place {
    bool exists;
    int a, b, m0;
    INDEX n, g;
};

// The same value, but the compiler does not know: what follows from it is computed where it is needed, and takes no
// registers while products are summed.
__device__ __forceinline__ int hidden(int value) {
    asm volatile("" : "+r"(value));
    return value;
}

__device__ __forceinline__ bool is_finite(float value) { return (bits_of(value) & 0x7f800000u) != 0x7f800000u; }

// Of the 64 channels, that of a slot in one of the four rounds in which the outputs are made.
__device__ __forceinline__ int channel_of(int round, int slot) {
    return round / 2 * 32 + slot / 2 * 4 + round % 2 * 2 + slot % 2;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) winograd(CORRELATION, const float *__restrict__ transformed) {
    __shared__ __align__(16) float shared[CHANNELS * POINTS * (TILES + TILE_M)];
    float *sources = shared;                             // [channel][point][tile]
    float *weights = shared + CHANNELS * POINTS * TILES; // [channel][point][output channel]

    const int tiles_high = (rows_count + 1) / 2, tiles_wide = (columns_count + 1) / 2;
    auto locate = [&](int lane, INDEX block) {
        const INDEX tiles = (INDEX)images * tiles_high * tiles_wide, tile_blocks = (tiles + TILES - 1) / TILES;
        const INDEX tile = block % tile_blocks * TILES + lane;
        Place at;
        at.exists = tile < tiles;
        at.a = (int)(tile / tiles_wide % tiles_high) * 2;
        at.b = (int)(tile % tiles_wide) * 2;
        at.n = tile / tiles_wide / tiles_high;
        at.m0 = (int)(block / tile_blocks % BLOCKS_M(M)) * TILE_M;
        at.g = block / tile_blocks / BLOCKS_M(M);
        return at;
    };

    // What this thread reads of a step: one tile of one channel, as far as it is in the image, and four weights at a
    // time of what its block needs.
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const ELEMENT *image = source;
    const float4 *next_weights = (const float4 *)transformed + thread;
    unsigned inside = 0; // a bit for each of the tile's 4 by 4 pixels
    {
        const Place at = locate(lane, blockIdx.x);
        const int h0 = at.a + rows_shift, w0 = at.b + columns_shift;
#pragma unroll
        for (int i = 0; i < 16; i++) {
            int h = h0 + i / 4, w = w0 + i % 4;
            inside |= (unsigned)(at.exists && h >= 0 && h < height && w >= 0 && w < width) << i;
        }
        image += warp * source_c;
        if (inside) image += at.n * source_n + at.g * C * source_c;
        if (inside) image += h0 * source_h + w0 * source_w;
        next_weights += (at.g * STEPS(C) * BLOCKS_M(M) + at.m0 / TILE_M) * (LOADS * THREADS);
    }
    float pixels[4][4];
    float4 quads[LOADS];

    auto read = [&](int c0) {
        const unsigned there = c0 + warp < C ? inside : 0;
        const ELEMENT *row = image;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const ELEMENT *pixel = row;
#pragma unroll
            for (int s = 0; s < 4; s++) {
                pixels[r][s] = there >> (4 * r + s) & 1 ? *pixel : 0.0f;
                pixel += source_w;
            }
            row += source_h;
        }
        image += CHANNELS * source_c;
#pragma unroll
        for (int i = 0; i < LOADS; i++) quads[i] = next_weights[i * THREADS];
        next_weights += BLOCKS_M(M) * (LOADS * THREADS);
    };
    // Neighbouring threads write neighbouring words, so that none wait for a bank of shared memory.
    auto keep = [&]() {
#pragma unroll
        for (int i = 0; i < LOADS; i++) ((float4 *)weights)[thread + i * THREADS] = quads[i];
        float high[4][4];
#pragma unroll
        for (int s = 0; s < 4; s++) {
            high[0][s] = pixels[0][s] - pixels[2][s];
            high[1][s] = pixels[1][s] + pixels[2][s];
            high[2][s] = pixels[2][s] - pixels[1][s];
            high[3][s] = pixels[1][s] - pixels[3][s];
        }
        float *to = sources + warp * POINTS * TILES + lane;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            to[(4 * r + 0) * TILES] = high[r][0] - high[r][2];
            to[(4 * r + 1) * TILES] = high[r][1] + high[r][2];
            to[(4 * r + 2) * TILES] = high[r][2] - high[r][1];
            to[(4 * r + 3) * TILES] = high[r][1] - high[r][3];
        }
    };

    // A lane sums, for both points of its warp, channels 4i to 4i + 3 of each 32 by tiles 4j to 4j + 3 of each 16,
    // where bits 1 to 3 of the lane are i, and bits 4 and 0 are j. Lanes that differ in bit 0 read the same weights,
    // those that differ in bit 1 the same pixels, so that half a warp is served at once, and from different banks.
    const int lane_i = lane / 2 % 8, lane_j = lane / 16 * 2 + lane % 2;
    const float *own_weights = weights + 2 * warp * TILE_M + 4 * lane_i;
    const float *own_sources = sources + 2 * warp * TILES + 4 * lane_j;
    float sums[2][8][8];

    auto multiply = [&]() {
#pragma unroll 2
        for (int c = 0; c < CHANNELS; c++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float of_channels[8], of_tiles[8];
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    *(float4 *)(of_channels + 4 * half) =
                        *(const float4 *)(own_weights + (c * POINTS + h) * TILE_M + half * 32);
                    *(float4 *)(of_tiles + 4 * half) =
                        *(const float4 *)(own_sources + (c * POINTS + h) * TILES + half * 16);
                }
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 8; j++)
                        sums[h][i][j] = plus_product(sums[h][i][j], of_channels[i], of_tiles[j]);
            }
    };

    unsigned wrong = 0; // a bit for each of the thread's outputs
    int c0 = 0;
    do {
#pragma unroll
        for (int i = 0; i < 128; i++) sums[i / 64][i / 8 % 8][i % 8] = 0.0f;
        bool more = true;
        read(c0);
        while (more) {
            keep();
            __syncthreads();
            c0 += CHANNELS;
            more = c0 < C && c0 % RUN_CHANNELS;
            if (more) read(c0); // it arrives while this step is summed
            multiply();
            __syncthreads();
        }

        // The points of a tile come together through shared memory, [point][slot][tile], for 16 channels in a round, 2
        // of each lane's. Runs of 8 tiles are swapped by the slot, so that no bank is waited for on either side.
        const int thread = hidden(threadIdx.x), lane = thread % 32, warp = thread / 32;
        const int lane_i = lane / 2 % 8, lane_j = lane / 16 * 2 + lane % 2;
        const Place at = locate(lane, hidden(blockIdx.x));
#pragma unroll
        for (int round = 0; round < 4; round++) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int h = i / 4, e = i / 2 % 2, half = i % 2;
                const float *from = &sums[h][round * 2 + e][4 * half];
                float *to = shared + ((2 * warp + h) * 16 + lane_i * 2 + e) * TILES;
                *(float4 *)(to + ((half * 16 + 4 * lane_j) ^ (lane_i % 4 * 8))) =
                    make_float4(from[0], from[1], from[2], from[3]);
            }
            __syncthreads();
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int slot = warp + half * 8, m = at.m0 + channel_of(round, slot);
                const float *from = shared + slot * TILES + (lane ^ (slot / 2 % 4 * 8));
                float high[2][4];
#pragma unroll
                for (int s = 0; s < 4; s++) {
                    float of_rows[4];
#pragma unroll
                    for (int r = 0; r < 4; r++) of_rows[r] = from[(4 * r + s) * 16 * TILES];
                    high[0][s] = of_rows[0] + of_rows[1] + of_rows[2];
                    high[1][s] = of_rows[1] - of_rows[2] - of_rows[3];
                }
                if (!at.exists || m >= M) continue;
                const INDEX channel = at.g * M + m;
                const float constant = c0 >= C && bias ? bias[channel * bias_m] : 0.0f;
                ELEMENT *row = out + (((at.n * groups * M + channel) * out_height + at.a) * out_width + at.b);
                const bool both = at.b + 1 < columns_count;
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    if (at.a + r >= rows_count) continue;
                    float y0 = high[r][0] + high[r][1] + high[r][2], y1 = high[r][1] - high[r][2] - high[r][3];
                    if (c0 > RUN_CHANNELS) {
                        y0 += row[0];
                        y1 += both ? row[1] : 0.0f;
                    }
                    y0 += constant;
                    y1 += constant;
                    if (out_width % 2 == 0) {
                        *(float2 *)row = make_float2(y0, y1);
                    } else {
                        row[0] = y0;
                        if (both) row[1] = y1;
                    }
                    const int bit = (round * 2 + half) * 4 + r * 2;
                    if (!is_finite(y0)) wrong |= 1u << bit;
                    if (both && !is_finite(y1)) wrong |= 2u << bit;
                    row += out_width;
                }
            }
            __syncthreads();
        }
    } while (c0 < C);

    // Sums of large pixels or weights overflow, infinities become NaN, and a weight that is not finite meets the zeros
    // of the padding, and other outputs' pixels. What is not finite is therefore computed plainly.
    const Place at = locate(hidden(lane), hidden(blockIdx.x));
    for (; wrong; wrong &= wrong - 1) {
        const int bit = __ffs(wrong) - 1, m = at.m0 + channel_of(bit / 8, warp + bit / 4 % 2 * 8);
        const int a = at.a + bit / 2 % 2, b = at.b + bit % 2;
        const ELEMENT *kernel = weight + (at.g * weight_g + m * weight_m);
        const ELEMENT *plane = source + (at.n * source_n + at.g * C * source_c);
        float total = 0.0f;
        for (int c = 0; c < C && total == total; c++) { // once it is NaN, nothing changes it
            float part = 0.0f;
            for (int r = 0; r < 3; r++)
                for (int s = 0; s < 3; s++) {
                    const int h = a + r + rows_shift, w = b + s + columns_shift;
                    if (h < 0 || h >= height || w < 0 || w >= width) continue;
                    part = plus_product(part,
                                        kernel[c * weight_c + (rows_tap_first + r * rows_tap_step) * weight_r +
                                               (columns_tap_first + s * columns_tap_step) * weight_s],
                                        plane[c * source_c + h * source_h + w * source_w]);
                }
            total += part;
        }
        const INDEX channel = at.g * M + m;
        if (bias) total += bias[channel * bias_m];
        out[((at.n * groups * M + channel) * out_height + a) * out_width + b] = total;
    }
}
