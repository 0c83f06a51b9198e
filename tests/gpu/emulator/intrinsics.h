// What kernels may call: barriers, warp operations, atomics, and functions of numbers.
#pragma once

#include <math.h>

#include <type_traits>

#include "scheduler.h"

#define CONVHUB_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

// ---- barriers; memory is always up to date, since threads take turns

inline void __syncthreads(CONVHUB_HERE) { convhub_emulator::barrier({file, line}); }
inline void __syncwarp(unsigned mask = 0xffffffffu, CONVHUB_HERE) {
    convhub_emulator::meet("__syncwarp", mask, nullptr, nullptr, {file, line});
}
inline void __threadfence() {}
inline void __threadfence_block() {}
#define assert(condition) \
    ((condition) ? void() : convhub_emulator::fail({__FILE__, __LINE__}, "assert(%s)", #condition))
[[noreturn]] inline void __trap(CONVHUB_HERE) { convhub_emulator::fail({file, line}, "__trap"); }

// ---- warp shuffles and votes; what CUDA leaves undefined, the value of an absent lane, is NaN bytes here

namespace convhub_emulator {

template <typename T>
struct Shuffle {
    T value, result;
    int source;

    static void complete(Thread* lanes, unsigned arrived) {
        for (int lane = 0; lane < 32; ++lane) {
            if (!(arrived >> lane & 1)) continue;
            auto& own = *static_cast<Shuffle*>(lanes[lane].data);
            if (arrived >> own.source & 1) {
                own.result = static_cast<Shuffle*>(lanes[own.source].data)->value;
            } else {
                memset(static_cast<void*>(&own.result), 0xff, sizeof own.result);
            }
        }
    }
};

template <typename T>
inline T shuffle(const char* what, unsigned mask, T value, int source, Site site) {
    Shuffle<T> own{value, value, source};
    meet(what, mask, &own, Shuffle<T>::complete, site);
    return own.result;
}

struct Vote {
    bool value;
    unsigned result;

    static void complete(Thread* lanes, unsigned arrived) {
        unsigned ballot = 0;
        for (int lane = 0; lane < 32; ++lane)
            if (arrived >> lane & 1) ballot |= unsigned(static_cast<Vote*>(lanes[lane].data)->value) << lane;
        for (int lane = 0; lane < 32; ++lane)
            if (arrived >> lane & 1) static_cast<Vote*>(lanes[lane].data)->result = ballot;
    }
};

inline unsigned vote(const char* what, unsigned mask, bool value, Site site) {
    Vote own{value, 0};
    meet(what, mask, &own, Vote::complete, site);
    return own.result;
}

inline int lane() { return int(current - threads) % 32; }

}  // namespace convhub_emulator

template <typename T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, CONVHUB_HERE) {
    int first = convhub_emulator::lane() & -width;
    return convhub_emulator::shuffle("__shfl_sync", mask, value, first + (source & (width - 1)), {file, line});
}

template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CONVHUB_HERE) {
    int lane = convhub_emulator::lane(), source = lane - int(delta);
    if (source < (lane & -width)) source = lane;
    return convhub_emulator::shuffle("__shfl_up_sync", mask, value, source, {file, line});
}

template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CONVHUB_HERE) {
    int lane = convhub_emulator::lane(), source = lane + int(delta);
    if (source >= (lane & -width) + width) source = lane;
    return convhub_emulator::shuffle("__shfl_down_sync", mask, value, source, {file, line});
}

template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, CONVHUB_HERE) {
    int lane = convhub_emulator::lane(), source = lane ^ lanes;
    if (source >= (lane & -width) + width) source = lane;
    return convhub_emulator::shuffle("__shfl_xor_sync", mask, value, source, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, CONVHUB_HERE) {
    return convhub_emulator::vote("__ballot_sync", mask, predicate != 0, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, CONVHUB_HERE) {
    return convhub_emulator::vote("__any_sync", mask, predicate != 0, {file, line}) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CONVHUB_HERE) {
    return convhub_emulator::vote("__all_sync", mask, predicate == 0, {file, line}) == 0;
}

// ---- atomics; a thread is never interrupted, so that plain code is atomic, in the random order of threads

namespace convhub_emulator {
template <typename T>
using SameType = std::common_type_t<T>;  // which is not deduced: a value converts to what the address points to
}

#define CONVHUB_ATOMIC(name, expression)                     \
    template <typename T>                                    \
    inline T name(T* address, convhub_emulator::SameType<T> value) {       \
        T old = *address;                                    \
        *address = expression;                               \
        return old;                                          \
    }
CONVHUB_ATOMIC(atomicAdd, T(old + value))
CONVHUB_ATOMIC(atomicSub, T(old - value))
CONVHUB_ATOMIC(atomicExch, value)
CONVHUB_ATOMIC(atomicMin, value < old ? value : old)
CONVHUB_ATOMIC(atomicMax, old < value ? value : old)
CONVHUB_ATOMIC(atomicAnd, T(old & value))
CONVHUB_ATOMIC(atomicOr, T(old | value))
#undef CONVHUB_ATOMIC

template <typename T>
inline T atomicCAS(T* address, convhub_emulator::SameType<T> compare, convhub_emulator::SameType<T> value) {
    T old = *address;
    if (old == compare) *address = value;
    return old;
}

// ---- numbers: bits, integers, minima that pass over NaN as the device's do

inline unsigned __float_as_uint(float value) { return convhub_emulator::bits_as<unsigned>(value); }
inline float __uint_as_float(unsigned value) { return convhub_emulator::bits_as<float>(value); }
inline int __float_as_int(float value) { return convhub_emulator::bits_as<int>(value); }
inline float __int_as_float(int value) { return convhub_emulator::bits_as<float>(value); }
inline long long __double_as_longlong(double value) { return convhub_emulator::bits_as<long long>(value); }
inline double __longlong_as_double(long long value) { return convhub_emulator::bits_as<double>(value); }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __clz(int value) { return value ? __builtin_clz(unsigned(value)) : 32; }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float rsqrtf(float value) { return 1.0f / sqrtf(value); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }

#define CONVHUB_MINMAX(type)                                                   \
    inline constexpr type min(type a, type b) { return b < a ? b : a; }        \
    inline constexpr type max(type a, type b) { return a < b ? b : a; }
CONVHUB_MINMAX(int)
CONVHUB_MINMAX(unsigned)
CONVHUB_MINMAX(long)
CONVHUB_MINMAX(unsigned long)
CONVHUB_MINMAX(long long)
CONVHUB_MINMAX(unsigned long long)
#undef CONVHUB_MINMAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

template <typename T> inline T __ldg(const T* address) { return *address; }
template <typename T> inline T __ldcg(const T* address) { return *address; }
template <typename T> inline T __ldcs(const T* address) { return *address; }
template <typename T> inline void __stcg(T* address, T value) { *address = value; }
template <typename T> inline void __stcs(T* address, T value) { *address = value; }
