// Whatever the API admits, one thread an element of the result: for types and sizes that have no better kernel.

#include "correlation.cuh"

extern "C" __global__ void __launch_bounds__(256, 1) direct_correlate(CORRELATION) {
    long long count = (long long)images * groups * M * rows_count * columns_count;
    long long threads = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += threads) {
        int b = (int)(i % columns_count);
        long long rest = i / columns_count;
        int a = (int)(rest % rows_count);
        rest /= rows_count;
        int m = (int)(rest % M);
        rest /= M;
        int g = (int)(rest % groups), n = (int)(rest / groups);
        TOTAL total{}, part{};
        int terms = 0;
        for (int c = 0; c < C; c++) {
            const ELEMENT *plane = source + n * source_n + ((long long)g * C + c) * source_c;
            const ELEMENT *kernel = weight + g * weight_g + m * weight_m + c * weight_c;
            for (int r = 0; r < rows_taps; r++) {
                long long h = (long long)a * rows_source_step + rows_shift + (long long)r * rows_tap_shift;
                if (h < 0 || h >= height) continue;
                for (int s = 0; s < columns_taps; s++) {
                    long long w = (long long)b * columns_source_step + columns_shift + (long long)s * columns_tap_shift;
                    if (w < 0 || w >= width) continue;
                    part = plus_product(
                        part, widened(plane[h * source_h + w * source_w]),
                        widened(kernel[(rows_tap_first + (long long)r * rows_tap_step) * weight_r +
                                       (columns_tap_first + (long long)s * columns_tap_step) * weight_s]));
                    if (++terms == RUN) {
                        total = plus(total, part);
                        part = TOTAL{};
                        terms = 0;
                    }
                }
            }
        }
        total = plus(total, part);
        long long channel = (long long)g * M + m;
        if (bias) total = plus(total, widened(bias[channel * bias_m]));
        long long row = rows_first + (long long)a * rows_step, column = columns_first + (long long)b * columns_step;
        narrow(total, out[(((long long)n * groups * M + channel) * out_height + row) * out_width + column]);
    }
}

// `dy` is (images, K, P, Q) and `x` (images, groups * C, H, W), with strides; `dw` is (K, C, R, S), contiguous.
extern "C" __global__ void __launch_bounds__(256, 1) direct_grad_weight(
    const ELEMENT *__restrict__ dy, const ELEMENT *__restrict__ x, ELEMENT *__restrict__ dw, int images, int groups,
    int M, int C, int R, int S, int P, int Q, int height, int width, long long dy_n, long long dy_k, long long dy_p,
    long long dy_q, long long x_n, long long x_c, long long x_h, long long x_w, int stride_h, int stride_w,
    int dilation_h, int dilation_w, int top, int left) {
    long long count = (long long)groups * M * C * R * S;
    long long threads = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += threads) {
        int s = (int)(i % S), r = (int)(i / S % R), c = (int)(i / S / R % C);
        long long k = i / S / R / C;
        TOTAL total{}, middle{}, part{};
        int terms = 0, runs = 0;
        for (int n = 0; n < images; n++) {
            const ELEMENT *gradient = dy + n * dy_n + k * dy_k;
            const ELEMENT *plane = x + n * x_n + (k / M * C + c) * x_c;
            for (int p = 0; p < P; p++) {
                long long h = (long long)p * stride_h + (long long)r * dilation_h - top;
                if (h < 0 || h >= height) continue;
                for (int q = 0; q < Q; q++) {
                    long long w = (long long)q * stride_w + (long long)s * dilation_w - left;
                    if (w < 0 || w >= width) continue;
                    part = plus_product(
                        part, widened(gradient[p * dy_p + q * dy_q]), widened(plane[h * x_h + w * x_w]));
                    if (++terms == RUN) {
                        middle = plus(middle, part);
                        part = TOTAL{};
                        terms = 0;
                        if (++runs == RUN) {
                            total = plus(total, middle);
                            middle = TOTAL{};
                            runs = 0;
                        }
                    }
                }
            }
        }
        narrow(plus(total, plus(middle, part)), dw[i]);
    }
}
