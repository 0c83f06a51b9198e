// The transform G g Gt of each kernel g, for `winograd.cu`; a thread for each pair of channels.

#include "winograd.cuh"

extern "C" __global__ void __launch_bounds__(THREADS) winograd_weight(CORRELATION, float *__restrict__ transformed) {
    const INDEX number = (INDEX)blockIdx.x * THREADS + threadIdx.x;
    const int padded_M = BLOCKS_M(M) * TILE_M, padded_C = STEPS(C) * CHANNELS;
    const int m = (int)(number % padded_M), c = (int)(number / padded_M % padded_C);
    const INDEX g = number / padded_M / padded_C;
    if (g >= groups) return;
    float taps[3][3] = {};
    if (m < M && c < C) {
        const ELEMENT *kernel = weight + (g * weight_g + m * weight_m + c * weight_c);
#pragma unroll
        for (int r = 0; r < 3; r++)
#pragma unroll
            for (int s = 0; s < 3; s++)
                taps[r][s] = kernel[(rows_tap_first + r * rows_tap_step) * weight_r +
                                    (columns_tap_first + s * columns_tap_step) * weight_s];
    }
    float high[4][3];
#pragma unroll
    for (int s = 0; s < 3; s++) {
        float outer = 0.5f * (taps[0][s] + taps[2][s]), inner = 0.5f * taps[1][s];
        high[0][s] = taps[0][s];
        high[1][s] = outer + inner;
        high[2][s] = outer - inner;
        high[3][s] = taps[2][s];
    }
    const INDEX block = (g * STEPS(C) + c / CHANNELS) * BLOCKS_M(M) + m / TILE_M;
    float *to = transformed + ((block * CHANNELS + c % CHANNELS) * (POINTS * TILE_M) + m % TILE_M);
#pragma unroll
    for (int r = 0; r < 4; r++) {
        float outer = 0.5f * (high[r][0] + high[r][2]), inner = 0.5f * high[r][1];
        to[(4 * r + 0) * TILE_M] = high[r][0];
        to[(4 * r + 1) * TILE_M] = outer + inner;
        to[(4 * r + 2) * TILE_M] = outer - inner;
        to[(4 * r + 3) * TILE_M] = high[r][2];
    }
}
