// What the two kernels of Winograd's F(2x2, 3x3) agree on.
//
//     Y = At [(G g Gt) * (Bt d B)] A, where * is by elements, and summed over channels: 16 matrix products
//
// It is for kernels of 3 by 3 with stride 1 and dilation 1: 2 by 2 outputs from 4 by 4 pixels, by 16 products for each
// pair of channels in place of 36 (Winograd 1980; Lavin and Gray 2015, arXiv:1509.09308).
//
// Taps are as in correlation.cuh, but tap_shift is 1: where they run against the source, the last comes first.

#pragma once

#include "correlation.cuh"

#define THREADS 256
#define POINTS 16
#define TILE_M 64
#define CHANNELS 8 // of a step

// G g Gt of all kernels is (groups, steps, blocks of output channels, 8 channels, 16 points, 64 output channels), with
// zeros where there are no channels: what a block needs for a step lies together, and no read of it needs a guard.
#define STEPS(C) (((C) + CHANNELS - 1) / CHANNELS)
#define BLOCKS_M(M) (((M) + TILE_M - 1) / TILE_M)
