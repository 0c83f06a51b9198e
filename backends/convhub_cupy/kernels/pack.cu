// Operands laid out for tensor cores: channels of a pixel, or of a weight's tap, next to each other, filled up
// with zeros to whole chunks of 16 bytes.

#include "tensor_core.cuh"

#define THREADS 256
#define PIXELS 64                       // of a block
#define CHANNELS (THREADS / PIXELS * CHUNK)  // of a block: each thread writes one chunk

struct __align__(16) Chunk { ELEMENT elements[CHUNK]; };

// `source` is (images, groups * C, height, width), with strides; `packed` (images, height * width, groups, chunks).
extern "C" __global__ void __launch_bounds__(THREADS, 1) pack_pixels(
    const ELEMENT *__restrict__ source, ELEMENT *__restrict__ packed, int images, int groups, int C, int height,
    int width, INDEX source_n, INDEX source_c, INDEX source_h, INDEX source_w) {
    __shared__ ELEMENT tile[CHANNELS][PIXELS + 1];

    const int chunks = (C + CHUNK - 1) / CHUNK;
    const int channel_blocks = (C + CHANNELS - 1) / CHANNELS;
    const INDEX pixels = (INDEX)height * width, pixel_blocks = (pixels + PIXELS - 1) / PIXELS;
    INDEX block = blockIdx.x;
    const INDEX pixel0 = block % pixel_blocks * PIXELS;
    block /= pixel_blocks;
    const int c0 = (int)(block % channel_blocks) * CHANNELS;
    block /= channel_blocks;
    const int g = (int)(block % groups);
    const INDEX n = block / groups;

    const int thread = threadIdx.x;
    INDEX pixel = pixel0 + thread % PIXELS;
    const INDEX h = pixel / width, w = pixel % width;
    const ELEMENT *place = source + (pixel < pixels ? n * source_n + h * source_h + w * source_w : 0);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        int row = thread / PIXELS + i * (THREADS / PIXELS), c = c0 + row;
        ELEMENT none{};
        tile[row][thread % PIXELS] =
            pixel < pixels && c < C ? for_tensor(place[((INDEX)g * C + c) * source_c]) : none;
    }
    __syncthreads();

    const int chunk = thread % (THREADS / PIXELS), column = thread / (THREADS / PIXELS);
    pixel = pixel0 + column;
    if (pixel >= pixels || c0 / CHUNK + chunk >= chunks) return;
    Chunk made;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) made.elements[i] = tile[chunk * CHUNK + i][column];
    ((Chunk *)packed)[((n * pixels + pixel) * groups + g) * chunks + c0 / CHUNK + chunk] = made;
}

// `weight` is (groups, M, C, R, S), with strides; `packed` (groups, M, R, S, chunks). A thread writes a chunk.
extern "C" __global__ void __launch_bounds__(THREADS, 1) pack_weight(
    const ELEMENT *__restrict__ weight, ELEMENT *__restrict__ packed, int groups, int M, int C, int R, int S,
    INDEX weight_g, INDEX weight_m, INDEX weight_c, INDEX weight_r, INDEX weight_s) {
    const int chunks = (C + CHUNK - 1) / CHUNK;
    const INDEX number = (INDEX)blockIdx.x * THREADS + threadIdx.x;
    INDEX rest = number / chunks;
    const int c0 = (int)(number % chunks) * CHUNK;
    const int s = (int)(rest % S);
    rest /= S;
    const int r = (int)(rest % R);
    rest /= R;
    const int m = (int)(rest % M), g = (int)(rest / M);
    if (g >= groups) return;
    const ELEMENT *place = weight + g * weight_g + m * weight_m + r * weight_r + s * weight_s;
    Chunk made;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        ELEMENT none{};
        made.elements[i] = c0 + i < C ? for_tensor(place[(c0 + i) * weight_c]) : none;
    }
    ((Chunk *)packed)[number] = made;
}
