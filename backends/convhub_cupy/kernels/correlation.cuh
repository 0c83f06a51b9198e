// What forward and each phase of grad_input have in common: one correlation, by arithmetic progressions.
//
// Along an axis, output number i of `count` lies at first + i * step; its tap number t of `taps` has kernel
// index tap_first + t * tap_step, and meets the source at i * source_step + shift + t * tap_shift. Forward is
// step 1, source_step the stride, tap_shift the dilation; a phase of grad_input is step the stride,
// source_step 1, and the taps that reach it.

// Offsets and sums of sizes are INDEX: int where everything fits it, as it mostly does, else long long.

#pragma once

#include "element.cuh"

#define AXIS(name)                                                                                         \
    int name##_count, int name##_first, int name##_step, int name##_source_step, int name##_shift,         \
        int name##_taps, int name##_tap_first, int name##_tap_step, int name##_tap_shift

// `source` is (images, groups * C, H, W) and `weight` (groups, M, C, R, S), each with its strides in elements;
// `bias` has groups * M elements or is null; `out` is (images, groups * M, out_height, out_width), contiguous.
#define CORRELATION                                                                                        \
    const ELEMENT *__restrict__ source, const ELEMENT *__restrict__ weight,                                \
        const ELEMENT *__restrict__ bias, ELEMENT *__restrict__ out, int images, int groups, int M, int C, \
        int height, int width, int out_height, int out_width, INDEX source_n, INDEX source_c,      \
        INDEX source_h, INDEX source_w, INDEX weight_g, INDEX weight_m, INDEX weight_c, \
        INDEX weight_r, INDEX weight_s, INDEX bias_m, AXIS(rows), AXIS(columns)

// Terms that are added up before they join the total: the error of a sum then grows with the root of its length,
// even where all terms are alike.
#define RUN 128
