// CUDA's vector types, and its two 16-bit ones, with the alignments that the real ones have.
#pragma once

#include <cstdint>
#include <cstring>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define CONVHUB_VECTORS(name, type)                                                                   \
    struct name##1 { type x; };                                                                       \
    struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                          \
    struct alignas(4 * sizeof(type) > 16 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; };       \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                  \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
#define CONVHUB_THREES(name, type)                                                                    \
    struct name##3 { type x, y, z; };                                                                 \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }

CONVHUB_VECTORS(char, signed char)
CONVHUB_VECTORS(uchar, unsigned char)
CONVHUB_VECTORS(short, short)
CONVHUB_VECTORS(ushort, unsigned short)
CONVHUB_VECTORS(int, int)
CONVHUB_VECTORS(uint, unsigned)
CONVHUB_VECTORS(longlong, long long)
CONVHUB_VECTORS(ulonglong, unsigned long long)
CONVHUB_VECTORS(float, float)
CONVHUB_VECTORS(double, double)
CONVHUB_THREES(char, signed char)
CONVHUB_THREES(uchar, unsigned char)
CONVHUB_THREES(short, short)
CONVHUB_THREES(ushort, unsigned short)
CONVHUB_THREES(int, int)
CONVHUB_THREES(longlong, long long)
CONVHUB_THREES(float, float)
CONVHUB_THREES(double, double)
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
#undef CONVHUB_VECTORS
#undef CONVHUB_THREES

namespace convhub_emulator {

// The same bits as another type.
template <typename To, typename From>
inline To bits_as(const From& from) {
    static_assert(sizeof(To) == sizeof(From), "bits of different number");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

// Exact: the bits as a float whose exponent is 112 too small, which the product corrects, subnormals included.
inline float half_to_float(uint16_t half) {
    uint32_t magnitude = uint32_t(half & 0x7fff) << 13;
    float value = bits_as<float>(magnitude) * 0x1p112f;
    uint32_t bits = bits_as<uint32_t>(value);
    if (magnitude >= 0x0f800000u) bits = magnitude | 0x7f800000u;  // infinity and NaN
    return bits_as<float>(bits | uint32_t(half & 0x8000) << 16);
}

// To the nearest, and halfway to the even one; NaN becomes 0x7fff, as on the device.
inline uint16_t float_to_half(float value) {
    uint32_t bits = bits_as<uint32_t>(value);
    uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return 0x7fff;
    if (bits >= 0x477ff000u) return sign | 0x7c00;  // 65520 is halfway to what would be the next, and even
    if (bits < 0x38800000u) {                       // below 2**-14 the sum with 1/2 does the rounding
        return sign | uint16_t(bits_as<uint32_t>(bits_as<float>(bits) + 0.5f) - 0x3f000000u);
    }
    bits += 0xc8000fffu + (bits >> 13 & 1);  // the exponent's bias from 127 to 15, and almost half a unit
    return sign | uint16_t(bits >> 13);
}

inline float bfloat16_to_float(uint16_t value) { return bits_as<float>(uint32_t(value) << 16); }

inline uint16_t float_to_bfloat16(float value) {
    uint32_t bits = bits_as<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

}  // namespace convhub_emulator

// Storage only: arithmetic goes through float. No constructor runs for an array of them in shared memory.
struct __half {
    uint16_t bits;
    __half() = default;
    __half(float value) : bits(convhub_emulator::float_to_half(value)) {}
    operator float() const { return convhub_emulator::half_to_float(bits); }
};

struct __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float value) : bits(convhub_emulator::float_to_bfloat16(value)) {}
    operator float() const { return convhub_emulator::bfloat16_to_float(bits); }
};

struct alignas(4) __half2 {
    __half x, y;
};

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

using half = __half;
using half2 = __half2;
using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline float __half2float(__half value) { return value; }
inline __half __float2half(float value) { return value; }
inline __half __float2half_rn(float value) { return value; }
inline float __bfloat162float(__nv_bfloat16 value) { return value; }
inline __nv_bfloat16 __float2bfloat16(float value) { return value; }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return value; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline __half __ushort_as_half(unsigned short value) { return convhub_emulator::bits_as<__half>(value); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short value) {
    return convhub_emulator::bits_as<__nv_bfloat16>(value);
}

inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 value) { return {value.x, value.y}; }
inline float2 __half22float2(__half2 value) { return {value.x, value.y}; }
inline float __low2float(__half2 value) { return value.x; }
inline float __high2float(__half2 value) { return value.y; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 value) { return {value.x, value.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 value) { return {value.x, value.y}; }
inline float __low2float(__nv_bfloat162 value) { return value.x; }
inline float __high2float(__nv_bfloat162 value) { return value.y; }
