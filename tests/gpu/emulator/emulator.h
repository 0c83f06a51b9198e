// CUDA C on the CPU: what a kernel's file is compiled after, by g++, to run as the body of a fiber.
//
// What kernels must keep to, beyond CUDA:
//
// - they are extern "C" __global__ functions, not templates, in a file that includes nothing of CUDA but
//   cuda_fp16.h and cuda_bf16.h;
// - static shared memory is declared in the kernel itself (not in a function it calls), and begins with the
//   word: `__shared__ float tile[16][17];`, `__shared__ __align__(16) float tile[256];`;
// - dynamic shared memory is `DYNAMIC_SHARED(float, tile);`, which kernels define where there is no emulator:
//       #ifndef CONVHUB_EMULATOR
//       #define DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) type name[]
//       #endif
// - inline PTX is in functions that call their twin of ptx.h under `#ifdef CONVHUB_EMULATOR`;
// - no thread spins until another has written: a thread gives way at barriers and warp operations only, and
//   a block runs to its end before the next begins.
//
// What it is strict about: threads run in random order between barriers, and blocks in random order; shared
// memory is NaN bytes (0xff) at the start of a block, as is what cp.async has not brought yet; a barrier that
// threads reach at different lines, and a warp operation that lanes of its mask never reach, are errors.
#pragma once

#define CONVHUB_EMULATOR 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 800
#endif

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// A section with a name that is one of C, for which linkers define the symbols __start_ and __stop_.
#define __shared__ static __attribute__((section("convhub_shared")))
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(convhub_emulator::dynamic_shared)

#include "types.h"
#include "scheduler.h"
#include "intrinsics.h"
#include "ptx.h"
#include "launch.h"
