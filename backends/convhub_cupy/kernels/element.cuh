// Elements as they are stored (ELEMENT) and as they are summed (TOTAL); both are macros given to the compiler.
//
// No header of CUDA's own is needed: 16-bit numbers are their bits, and the conversions are single instructions.

#pragma once

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;

struct float16 { uint16 bits; };
struct bfloat16 { uint16 bits; };

template <typename Real> struct complex_of { Real real, imaginary; };
typedef complex_of<float> complex64;
typedef complex_of<double> complex128;

__device__ __forceinline__ unsigned bits_of(float value) {
#ifdef CONVHUB_EMULATOR
    return __builtin_bit_cast(unsigned, value);
#else
    return __float_as_uint(value);
#endif
}

__device__ __forceinline__ float float_of(unsigned bits) {
#ifdef CONVHUB_EMULATOR
    return __builtin_bit_cast(float, bits);
#else
    return __uint_as_float(bits);
#endif
}

// widened: from what is stored to what is summed.
__device__ __forceinline__ float widened(float value) { return value; }
__device__ __forceinline__ double widened(double value) { return value; }
__device__ __forceinline__ complex64 widened(complex64 value) { return value; }
__device__ __forceinline__ complex128 widened(complex128 value) { return value; }
__device__ __forceinline__ uint32 widened(uint8 value) { return value; }
__device__ __forceinline__ uint32 widened(uint16 value) { return value; }
__device__ __forceinline__ uint32 widened(uint32 value) { return value; }
__device__ __forceinline__ uint64 widened(uint64 value) { return value; }
__device__ __forceinline__ float widened(bfloat16 value) { return float_of((unsigned)value.bits << 16); }

__device__ __forceinline__ float widened(float16 value) {
#ifdef CONVHUB_EMULATOR
    return (float)__builtin_bit_cast(_Float16, value.bits);
#else
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
#endif
}

// narrow: rounded to nearest, ties to even; integers wrap around.
__device__ __forceinline__ void narrow(float total, float& out) { out = total; }
__device__ __forceinline__ void narrow(double total, double& out) { out = total; }
__device__ __forceinline__ void narrow(complex64 total, complex64& out) { out = total; }
__device__ __forceinline__ void narrow(complex128 total, complex128& out) { out = total; }
__device__ __forceinline__ void narrow(uint32 total, uint8& out) { out = (uint8)total; }
__device__ __forceinline__ void narrow(uint32 total, uint16& out) { out = (uint16)total; }
__device__ __forceinline__ void narrow(uint32 total, uint32& out) { out = total; }
__device__ __forceinline__ void narrow(uint64 total, uint64& out) { out = total; }

__device__ __forceinline__ void narrow(float total, bfloat16& out) {
    unsigned bits = bits_of(total);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    out.bits = is_nan ? 0x7fff : (uint16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

__device__ __forceinline__ void narrow(float total, float16& out) {
#ifdef CONVHUB_EMULATOR
    out.bits = __builtin_bit_cast(uint16, (_Float16)total);
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out.bits) : "f"(total));
#endif
}

// plus, plus_product: what sums are made of.
// Those of float32 as instructions, since CuPy compiles with -ftz=true, which takes subnormal numbers for zero.
__device__ __forceinline__ float plus_product(float sum, float a, float b) {
#ifdef CONVHUB_EMULATOR
    return fmaf(a, b, sum);
#else
    float result;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(a), "f"(b), "f"(sum));
    return result;
#endif
}
__device__ __forceinline__ double plus_product(double sum, double a, double b) { return fma(a, b, sum); }
__device__ __forceinline__ uint32 plus_product(uint32 sum, uint32 a, uint32 b) { return sum + a * b; }
__device__ __forceinline__ uint64 plus_product(uint64 sum, uint64 a, uint64 b) { return sum + a * b; }

template <typename Real>
__device__ __forceinline__ complex_of<Real> plus_product(
    complex_of<Real> sum, complex_of<Real> a, complex_of<Real> b) {
    sum.real = plus_product(plus_product(sum.real, a.real, b.real), -a.imaginary, b.imaginary);
    sum.imaginary = plus_product(plus_product(sum.imaginary, a.real, b.imaginary), a.imaginary, b.real);
    return sum;
}

template <typename Total> __device__ __forceinline__ Total plus(Total a, Total b) { return a + b; }
__device__ __forceinline__ float plus(float a, float b) {
#ifdef CONVHUB_EMULATOR
    return a + b;
#else
    float result;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
#endif
}
template <typename Real>
__device__ __forceinline__ complex_of<Real> plus(complex_of<Real> a, complex_of<Real> b) {
    return {plus(a.real, b.real), plus(a.imaginary, b.imaginary)};
}
