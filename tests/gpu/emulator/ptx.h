// Twins of what kernels write in PTX: asynchronous copies, ldmatrix, mma.sync and a conversion.
//
// A kernel wraps each instruction in a function of its own, whose body is inline assembly on the device, and
// a call of the twin under `#ifdef CONVHUB_EMULATOR`.
#pragma once

#include "intrinsics.h"

namespace convhub_emulator {

inline bool in_shared(const void* address, int bytes) {
    auto* first = static_cast<const char*>(address);
    return (first >= static_shared && first + bytes <= static_shared + static_shared_bytes) ||
           (first >= dynamic_shared && first + bytes <= dynamic_shared + dynamic_shared_bytes);
}

inline bool aligned(const void* address, int bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; }

// Let the copies appear of all groups but the `newest` ones.
inline void land_copies(int newest) {
    Thread& self = *current;
    int groups = self.group_count - newest;
    if (groups <= 0) return;
    int count = self.group_ends[groups - 1];
    for (int i = 0; i < count; ++i) memcpy(self.copies[i].destination, self.copies[i].data, self.copies[i].bytes);
    self.copy_count -= count;
    memmove(self.copies, self.copies + count, self.copy_count * sizeof(Copy));
    for (int i = groups; i < self.group_count; ++i) self.group_ends[i - groups] = self.group_ends[i] - count;
    self.group_count -= groups;
}

}  // namespace convhub_emulator

// cp.async.ca/cg.shared.global [shared], [global], BYTES, source_bytes;
// The first `source_bytes` are read (none: `global` is not looked at), and the rest are zeros.
template <int BYTES>
inline void emulated_cp_async(void* shared, const void* global, int source_bytes = BYTES, CONVHUB_HERE) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
    using namespace convhub_emulator;
    Site site{file, line};
    Thread& self = *current;
    if (!in_shared(shared, BYTES)) fail(site, "cp.async to what is not shared memory");
    if (source_bytes < 0 || source_bytes > BYTES) fail(site, "cp.async of %d bytes of %d", source_bytes, BYTES);
    if (!aligned(shared, BYTES) || (source_bytes && !aligned(global, BYTES)))
        fail(site, "cp.async of %d bytes from %p to %p, which are not aligned to as many", BYTES, global, shared);
    if (!self.copies) self.copies = static_cast<Copy*>(malloc(most_copies * sizeof(Copy)));
    if (self.copy_count == most_copies) fail(site, "more than %d cp.async are under way", most_copies);
    Copy& copy = self.copies[self.copy_count++];
    copy.destination = shared;
    copy.bytes = BYTES;
    memset(copy.data, 0, sizeof copy.data);
    for (int i = 0; i < source_bytes; ++i) copy.data[i] = static_cast<const char*>(global)[i];
    memset(shared, 0xff, BYTES);  // until wait_group nobody may count on anything here
}

// cp.async.commit_group;
inline void emulated_cp_async_commit(CONVHUB_HERE) {
    using namespace convhub_emulator;
    if (current->group_count == most_copies) fail({file, line}, "more than %d groups of cp.async", most_copies);
    current->group_ends[current->group_count++] = current->copy_count;
}

// cp.async.wait_group NEWEST; this thread's own copies only, so that others need __syncthreads after it.
template <int NEWEST>
inline void emulated_cp_async_wait() {
    convhub_emulator::land_copies(NEWEST);
}

// cp.async.wait_all;
inline void emulated_cp_async_wait_all() {
    emulated_cp_async_commit();
    convhub_emulator::land_copies(0);
}

namespace convhub_emulator {

template <int COUNT, bool TRANSPOSED>
struct LoadMatrix {
    const void* row;
    unsigned* registers;

    // Lane 8 i + r has the address of row r of matrix i; of each matrix a lane gets two neighbours of row
    // lane / 4, or, transposed, of column lane / 4.
    static void complete(Thread* lanes, unsigned) {
        for (int lane = 0; lane < 32; ++lane) {
            for (int i = 0; i < COUNT; ++i) {
                uint16_t pair[2];
                for (int j = 0; j < 2; ++j) {
                    int row = lane / 4, column = lane % 4 * 2 + j;
                    if (TRANSPOSED) row = lane % 4 * 2 + j, column = lane / 4;
                    auto* from = static_cast<const char*>(static_cast<LoadMatrix*>(lanes[8 * i + row].data)->row);
                    memcpy(pair + j, from + 2 * column, 2);
                }
                memcpy(static_cast<LoadMatrix*>(lanes[lane].data)->registers + i, pair, 4);
            }
        }
    }
};

inline void whole_warp(const char* what, Site site) {
    if (warps[(current - threads) / 32].live != ~0u) fail(site, "%s needs all 32 lanes of the warp", what);
}

// Fragments of mma.sync as matrices of float: A is 16 x K, B is K x 8, C and D are 16 x 8.
template <int K>
struct MultiplyAccumulate {
    float* c;
    const unsigned *a, *b;
    float (*widen)(unsigned bits);

    static void complete(Thread* lanes, unsigned) {
        constexpr int packed = K == 16 ? 2 : 1;  // elements in a register
        float left[16][K], right[K][8], sums[16][8];
        for (int lane = 0; lane < 32; ++lane) {
            auto& own = *static_cast<MultiplyAccumulate*>(lanes[lane].data);
            int group = lane / 4, place = lane % 4 * packed;
            for (int j = 0; j < packed; ++j) {
                for (int i = 0; i < 4; ++i)
                    left[group + i % 2 * 8][place + i / 2 * 4 * packed + j] = own.widen(own.a[i] >> 16 * j);
                for (int i = 0; i < 2; ++i) right[place + i * 4 * packed + j][group] = own.widen(own.b[i] >> 16 * j);
            }
            for (int i = 0; i < 4; ++i) sums[group + i / 2 * 8][lane % 4 * 2 + i % 2] = own.c[i];
        }
        // The device adds in an order, and with a rounding, that nobody documents: this is one that may be.
        for (int m = 0; m < 16; ++m)
            for (int k = 0; k < K; ++k)
                for (int n = 0; n < 8; ++n) sums[m][n] += left[m][k] * right[k][n];
        for (int lane = 0; lane < 32; ++lane) {
            auto& own = *static_cast<MultiplyAccumulate*>(lanes[lane].data);
            for (int i = 0; i < 4; ++i) own.c[i] = sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
        }
    }
};

template <int K>
inline void multiply_accumulate(const char* what, float* c, const unsigned* a, const unsigned* b,
                                float (*widen)(unsigned), Site site) {
    whole_warp(what, site);
    MultiplyAccumulate<K> own{c, a, b, widen};
    meet(what, ~0u, &own, MultiplyAccumulate<K>::complete, site);
}

inline float widen_half(unsigned bits) { return half_to_float(uint16_t(bits)); }
inline float widen_bfloat16(unsigned bits) { return bfloat16_to_float(uint16_t(bits)); }
inline float widen_tf32(unsigned bits) { return bits_as<float>(bits & 0xffffe000u); }  // 10 bits of mantissa

}  // namespace convhub_emulator

// ldmatrix.sync.aligned.m8n8.x{COUNT}[.trans].shared.b16 {registers...}, [row];
template <int COUNT, bool TRANSPOSED = false>
inline void emulated_ldmatrix(unsigned* registers, const void* row, CONVHUB_HERE) {
    static_assert(COUNT == 1 || COUNT == 2 || COUNT == 4, "ldmatrix loads 1, 2 or 4 matrices");
    using namespace convhub_emulator;
    Site site{file, line};
    whole_warp("ldmatrix", site);
    if (lane() < 8 * COUNT) {
        if (!in_shared(row, 16)) fail(site, "ldmatrix from what is not shared memory");
        if (!aligned(row, 16)) fail(site, "ldmatrix of a row at %p, which is not aligned to 16 bytes", row);
    }
    LoadMatrix<COUNT, TRANSPOSED> own{row, registers};
    meet("ldmatrix", ~0u, &own, LoadMatrix<COUNT, TRANSPOSED>::complete, site);
}

// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c...}, {a...}, {b...}, {c...}; 4, 4 and 2 registers
inline void emulated_mma_m16n8k16_f16(float* c, const unsigned* a, const unsigned* b, CONVHUB_HERE) {
    using namespace convhub_emulator;
    multiply_accumulate<16>("mma.m16n8k16.f16", c, a, b, widen_half, {file, line});
}

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
inline void emulated_mma_m16n8k16_bf16(float* c, const unsigned* a, const unsigned* b, CONVHUB_HERE) {
    using namespace convhub_emulator;
    multiply_accumulate<16>("mma.m16n8k16.bf16", c, a, b, widen_bfloat16, {file, line});
}

// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32; the low 13 bits of operands are not looked at
inline void emulated_mma_m16n8k8_tf32(float* c, const unsigned* a, const unsigned* b, CONVHUB_HERE) {
    using namespace convhub_emulator;
    multiply_accumulate<8>("mma.m16n8k8.tf32", c, a, b, widen_tf32, {file, line});
}

// cvt.rna.tf32.f32: to the nearest, halfway away from zero
inline unsigned emulated_cvt_rna_tf32(float value) {
    unsigned bits = convhub_emulator::bits_as<unsigned>(value);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits & 0x7fffffu ? 0x7fffffffu : bits;
    return (bits + 0x1000u) & 0xffffe000u;
}
