// Layers whose groups have one source channel, where channels share nothing: each output is a sum over its own
// taps, and threads of a warp have neighbouring pixels of a row. The gradient of the weight serves all small groups.

#include "correlation.cuh"

#define THREADS 256

// The arguments are those of `direct_correlate`; C is 1. A block has THREADS pixels of one plane of the output.
extern "C" __global__ void __launch_bounds__(THREADS, 1) depthwise_correlate(CORRELATION) {
    const INDEX pixels = (INDEX)rows_count * columns_count;
    const INDEX tiles = (pixels + THREADS - 1) / THREADS;
    const INDEX pixel = blockIdx.x % tiles * THREADS + threadIdx.x;
    const INDEX plane_number = blockIdx.x / tiles;
    const int channel = (int)(plane_number % ((INDEX)groups * M));
    const int n = (int)(plane_number / ((INDEX)groups * M)), g = channel / M;
    if (pixel >= pixels) return;
    const int b = (int)(pixel % columns_count), a = (int)(pixel / columns_count);
    const ELEMENT *plane = source + n * source_n + (INDEX)g * C * source_c;
    const ELEMENT *kernel = weight + g * weight_g + channel % M * weight_m + rows_tap_first * weight_r +
                            columns_tap_first * weight_s;
    const INDEX h0 = (INDEX)a * rows_source_step + rows_shift;
    const INDEX w0 = (INDEX)b * columns_source_step + columns_shift;
    TOTAL total{};
    for (int r = 0; r < rows_taps; r++) {
        const INDEX h = h0 + (INDEX)r * rows_tap_shift;
        if (h < 0 || h >= height) continue;
        const ELEMENT *row = plane + h * source_h;
        const ELEMENT *taps = kernel + (INDEX)r * rows_tap_step * weight_r;
        for (int s0 = 0; s0 < columns_taps; s0 += RUN) {
            TOTAL part{};
            const int s1 = s0 + RUN < columns_taps ? s0 + RUN : columns_taps;
            for (int s = s0; s < s1; s++) {
                const INDEX w = w0 + (INDEX)s * columns_tap_shift;
                if (w >= 0 && w < width)
                    part = plus_product(
                        part, widened(row[w * source_w]), widened(taps[(INDEX)s * columns_tap_step * weight_s]));
            }
            total = plus(total, part);
        }
    }
    if (bias) total = plus(total, widened(bias[channel * bias_m]));
    const INDEX out_row = rows_first + (INDEX)a * rows_step;
    const INDEX out_column = columns_first + (INDEX)b * columns_step;
    narrow(total, out[(plane_number * out_height + out_row) * out_width + out_column]);
}

// One element of dw a block: THREADS sums over pixels that lie THREADS apart, then added up as a tree.
extern "C" __global__ void __launch_bounds__(THREADS, 1) depthwise_grad_weight(
    const ELEMENT *__restrict__ dy, const ELEMENT *__restrict__ x, ELEMENT *__restrict__ dw, int images, int groups,
    int M, int C, int R, int S, int P, int Q, int height, int width, INDEX dy_n, INDEX dy_k, INDEX dy_p,
    INDEX dy_q, INDEX x_n, INDEX x_c, INDEX x_h, INDEX x_w, int stride_h, int stride_w,
    int dilation_h, int dilation_w, int top, int left) {
    __shared__ TOTAL sums[THREADS];
    const INDEX element = blockIdx.x;
    const int s = (int)(element % S), r = (int)(element / S % R), c = (int)(element / S / R % C);
    const INDEX k = element / S / R / C;
    const int thread = threadIdx.x;
    const INDEX pixels = (INDEX)images * P * Q;
    TOTAL total{}, part{};
    int terms = 0;
    for (INDEX pixel = thread; pixel < pixels; pixel += THREADS) {
        const int q = (int)(pixel % Q), p = (int)(pixel / Q % P);
        const INDEX n = pixel / Q / P;
        const INDEX h = (INDEX)p * stride_h + (INDEX)r * dilation_h - top;
        const INDEX w = (INDEX)q * stride_w + (INDEX)s * dilation_w - left;
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        part = plus_product(
            part, widened(dy[n * dy_n + k * dy_k + p * dy_p + q * dy_q]),
            widened(x[n * x_n + (k / M * C + c) * x_c + h * x_h + w * x_w]));
        if (++terms == RUN) {
            total = plus(total, part);
            part = TOTAL{};
            terms = 0;
        }
    }
    sums[thread] = plus(total, part);
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) sums[thread] = plus(sums[thread], sums[thread + half]);
    }
    if (thread == 0) narrow(sums[0], dw[element]);
}
