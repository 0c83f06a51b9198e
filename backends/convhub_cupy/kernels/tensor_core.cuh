// What the kernels for tensor cores have in common: asynchronous copies, fragments, products of 16 x 8.
//
// TENSOR names the type of products: f16, bf16, or tf32, for float32 elements that `pack.cu` has rounded. Each
// instruction is one function. All need sm_80; below it the planner chooses other kernels, and these trap.

#pragma once

#include "element.cuh"

#define TENSOR_f16 1
#define TENSOR_bf16 2
#define TENSOR_tf32 3
#define JOINED(a, b) a##b
#define TENSOR_NUMBER(name) JOINED(TENSOR_, name)
#define IS_TF32 (TENSOR_NUMBER(TENSOR) == TENSOR_tf32)

// Channels are packed in chunks of 16 bytes, zeros after the last: the unit of all copies.
#define CHUNK (16 / (int)sizeof(ELEMENT))

// Copy 16 bytes to shared memory in the background, or zeros if nothing is there.
__device__ __forceinline__ void copy_chunk(void *shared, const void *global, bool there) {
#ifdef CONVHUB_EMULATOR
    emulated_cp_async<16>(shared, global, there ? 16 : 0);
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(there ? 16 : 0)
                 : "memory");
#else
    __trap();
#endif
}

// End a group of copies; every step has one, though it may be empty, so that groups count steps.
__device__ __forceinline__ void end_of_group() {
#ifdef CONVHUB_EMULATOR
    emulated_cp_async_commit();
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Wait for this thread's copies but the newest groups; other threads' have landed after the next barrier.
template <int NEWEST> __device__ __forceinline__ void wait_for_groups() {
#ifdef CONVHUB_EMULATOR
    emulated_cp_async_wait<NEWEST>();
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(NEWEST) : "memory");
#endif
}

// Four matrices of 8 rows of 16 bytes; lane 8 i + r has the address of row r of matrix i.
__device__ __forceinline__ void load_matrices(unsigned *registers, const void *row) {
#ifdef CONVHUB_EMULATOR
    emulated_ldmatrix<4>(registers, row);
#elif __CUDA_ARCH__ >= 750
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
#endif
}

// The same, of 16-bit elements, each matrix transposed.
__device__ __forceinline__ void load_transposed(unsigned *registers, const void *row) {
#ifdef CONVHUB_EMULATOR
    emulated_ldmatrix<4, true>(registers, row);
#elif __CUDA_ARCH__ >= 750
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
#endif
}

#if defined(CONVHUB_EMULATOR)
#define MULTIPLY(shape, type) JOINED(emulated_mma_##shape##_, type)(sums, a, b)
#elif __CUDA_ARCH__ >= 800
#define MULTIPLY(shape, type)                                                                                  \
    asm volatile("mma.sync.aligned." #shape ".row.col.f32." #type "." #type                                    \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                         \
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
#define MULTIPLY(shape, type) __trap()
#endif

// sums += a b, where a has 16 rows of 32 bytes and b 8 columns of 32 bytes. With group = lane / 4 and place =
// lane % 4, sums are of rows group, group, group + 8, group + 8, and of columns 2 place and the next, twice.
__device__ __forceinline__ void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if TENSOR_NUMBER(TENSOR) == TENSOR_f16
    MULTIPLY(m16n8k16, f16);
#elif TENSOR_NUMBER(TENSOR) == TENSOR_bf16
    MULTIPLY(m16n8k16, bf16);
#else
    MULTIPLY(m16n8k8, tf32);
#endif
}

// An element as tensor cores take it: float32 rounded to TF32, to the nearest; 16-bit numbers as they are.
__device__ __forceinline__ float16 for_tensor(float16 value) { return value; }
__device__ __forceinline__ bfloat16 for_tensor(bfloat16 value) { return value; }
__device__ __forceinline__ float for_tensor(float value) {
#ifdef CONVHUB_EMULATOR
    return float_of(emulated_cvt_rna_tf32(value));
#elif __CUDA_ARCH__ >= 800
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return float_of(bits);
#else
    return value;
#endif
}
