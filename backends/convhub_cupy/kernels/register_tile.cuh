// A thread's THREAD_M by THREAD_N sums of a block's TILE_M by TILE_N, and what it reads of shared memory for them.
//
// A warp has 4 by 8 threads. A thread's rows and columns come in vectors of 16 bytes, which a warp's threads have
// in turn: each read is of 16 bytes, and eight threads' reads are 128 bytes in a row, or the same 16.

#pragma once

#include "element.cuh"

#define THREADS (TILE_M / THREAD_M * (TILE_N / THREAD_N))
#define VECTOR (16 / (int)sizeof(TOTAL))
#define WARPS_N (TILE_N / (8 * THREAD_N))
static_assert(TILE_M % (4 * THREAD_M) == 0 && TILE_N % (8 * THREAD_N) == 0, "a warp has 4 by 8 threads");
static_assert(THREAD_M % VECTOR == 0 && THREAD_N % VECTOR == 0, "a thread reads whole vectors");

struct __align__(16) Vector { TOTAL elements[VECTOR]; };

// The row, or column, of a thread's sum number i.
__device__ __forceinline__ int tile_row(int thread, int i) {
    return thread / 32 / WARPS_N * (4 * THREAD_M) + i / VECTOR * (4 * VECTOR) + thread % 32 / 8 * VECTOR + i % VECTOR;
}
__device__ __forceinline__ int tile_column(int thread, int j) {
    return thread / 32 % WARPS_N * (8 * THREAD_N) + j / VECTOR * (8 * VECTOR) + thread % 8 * VECTOR + j % VECTOR;
}

// sums += left^T right, for one term: a row of the left side and one of the right in shared memory.
__device__ __forceinline__ void add_products(
    TOTAL (&sums)[THREAD_M][THREAD_N], const TOTAL *left, const TOTAL *right, int thread) {
    Vector rows[THREAD_M / VECTOR], columns[THREAD_N / VECTOR];
#pragma unroll
    for (int i = 0; i < THREAD_M / VECTOR; i++) rows[i] = *(const Vector *)(left + tile_row(thread, i * VECTOR));
#pragma unroll
    for (int j = 0; j < THREAD_N / VECTOR; j++) columns[j] = *(const Vector *)(right + tile_column(thread, j * VECTOR));
#pragma unroll
    for (int i = 0; i < THREAD_M; i++)
#pragma unroll
        for (int j = 0; j < THREAD_N; j++)
            sums[i][j] = plus_product(
                sums[i][j], rows[i / VECTOR].elements[i % VECTOR], columns[j / VECTOR].elements[j % VECTOR]);
}

// The run of terms is over: its sums join the totals.
__device__ __forceinline__ void end_run(TOTAL (&totals)[THREAD_M][THREAD_N], TOTAL (&sums)[THREAD_M][THREAD_N]) {
#pragma unroll
    for (int i = 0; i < THREAD_M; i++)
#pragma unroll
        for (int j = 0; j < THREAD_N; j++) {
            totals[i][j] = plus(totals[i][j], sums[i][j]);
            sums[i][j] = TOTAL{};
        }
}
