// The threads of one block, as fibers in random order, and the places where they wait for each other.
//
// A thread runs until it waits or ends, and then a random one of those that can run goes on: no kernel may count
// on the order of threads, not even within a warp. Between some barriers all warps advance alike, and between
// others each goes as far as it can on its own, which finds what happens when one is far ahead. All state is
// static, since a library has one kernel and the caller lets one launch at a time into it.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "context.h"
#include "types.h"

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

namespace convhub_emulator {

constexpr int most_threads = 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t stack_bytes = 256 << 10;
#else
constexpr size_t stack_bytes = 64 << 10;
#endif
// Stacks a power of two apart would compete for the same few lines of every cache.
constexpr size_t stack_stride = stack_bytes + 1088;
constexpr uint64_t canary = 0x5ca1ab1e0ddba11dull;

// Where in the kernel a thread waits. Lines rather than return addresses: a compiler may copy a call.
struct Site {
    const char* file;
    int line;
    bool operator!=(const Site& other) const { return line != other.line || file != other.file; }
};

// cp.async: what was read, and is yet to appear.
struct Copy {
    void* destination;
    int bytes;
    char data[16];
};
constexpr int most_copies = 256;

struct Thread {
    Context context;
    uint3 index;
    Site site;
    bool done;
    void* data;                        // what it brings to the meeting of a warp
    Copy* copies;                      // allocated by the first cp.async, for the whole launch
    int copy_count, group_count;       // copies that have not appeared; their committed groups
    int group_ends[most_copies];
};

// Lanes that wait for the others named in `mask`; the last to come does for all what they came for.
using Complete = void (*)(Thread* lanes, unsigned arrived);
struct Meeting {
    const char* what;
    Complete complete;
    unsigned mask, arrived;
    Site site;
};
constexpr int most_meetings = 8;
struct Warp {
    unsigned live, runnable, waiting;  // a bit for each lane; `waiting` is at __syncthreads
    Meeting meetings[most_meetings];
};

static Thread threads[most_threads];
static Warp warps[most_threads / 32];
static unsigned runnable_warps;  // a bit for each warp that has a runnable lane
static int thread_count, warp_count, waiting_count, live_count;
static Thread *first_waiting, *elsewhere;  // at __syncthreads; one at another, if there is one
static bool warp_by_warp;
static Thread* current;
static Context launching;
static char* stacks;
static void (*run_kernel)();
static uint64_t random_state;
static char message[1024];
static bool failed;
static char *static_shared, *dynamic_shared;
static size_t static_shared_bytes, dynamic_shared_bytes;

inline uint64_t random_bits() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

inline uint32_t random_below(uint32_t count) { return uint32_t((random_bits() >> 32) * count >> 32); }

// The first bit that is set, from a random one on.
inline int some_bit(unsigned bits, unsigned random) {
    random &= 31;
    unsigned turned = bits >> random | bits << (-random & 31);
    return (__builtin_ctz(turned) + random) & 31;
}

inline void go_to(Thread& next) {
    Thread& self = *current;
    current = &next;
    threadIdx = next.index;
    switch_context(self.context, next.context, false);
}

// Say what is wrong, in which thread, and give the whole launch up: no fiber runs again.
[[noreturn]] __attribute__((noinline, format(printf, 2, 3))) inline void fail(Site site, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length >= int(sizeof message)) length = sizeof message - 1;
    snprintf(message + length, sizeof message - length, " (thread %u,%u,%u of block %u,%u,%u, at %s:%d)", threadIdx.x,
             threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z, site.file, site.line);
    failed = true;
    switch_context(current->context, launching, true);
    abort();
}

// Draw who runs next of those that can, of whom there must be one.
inline Thread& draw(int warp_before) {
    uint64_t random = random_bits();
    int warp = warp_before;
    if (!warp_by_warp || !warps[warp].runnable) warp = some_bit(runnable_warps, random >> 40);
    int lane = some_bit(warps[warp].runnable, random >> 50);
    warps[warp].runnable &= ~(1u << lane);
    if (!warps[warp].runnable) runnable_warps &= ~(1u << warp);
    return threads[32 * warp + lane];
}

// Nobody can run: say why, if it is not that all are at the same barrier.
inline void report_deadlock() {
    for (int w = 0; w < warp_count; ++w) {
        for (Meeting& meeting : warps[w].meetings) {
            if (meeting.arrived == 0) continue;
            fail(meeting.site, "lanes %08x of warp %d wait in %s for lanes %08x, which never come", meeting.arrived, w,
                 meeting.what, meeting.mask & warps[w].live & ~meeting.arrived);
        }
    }
}

// All live threads are at a barrier: if it is the same one, let them go.
inline void release_barrier() {
    if (elsewhere) {
        threadIdx = first_waiting->index;
        fail(first_waiting->site, "divergent __syncthreads: thread %u,%u,%u waits at %s:%d instead", elsewhere->index.x,
             elsewhere->index.y, elsewhere->index.z, elsewhere->site.file, elsewhere->site.line);
    }
    for (int w = 0; w < warp_count; ++w) {
        warps[w].runnable = warps[w].waiting;
        warps[w].waiting = 0;
        if (warps[w].runnable) runnable_warps |= 1u << w;
    }
    waiting_count = 0;
    warp_by_warp = random_bits() >> 63;
}

// Let others run; return when this thread has been made runnable and is drawn.
__attribute__((noinline)) inline void reschedule() {
    if (runnable_warps == 0) {
        if (waiting_count != live_count) report_deadlock();
        release_barrier();
    }
    Thread& next = draw(int(current - threads) / 32);
    if (&next != current) go_to(next);
}

__attribute__((noinline)) inline void barrier(Site site) {
    Thread& self = *current;
    self.site = site;
    if (waiting_count++ == 0) {
        first_waiting = &self;
        elsewhere = nullptr;
    } else if (site != first_waiting->site) {
        elsewhere = &self;
    }
    int number = int(&self - threads);
    warps[number / 32].waiting |= 1u << number % 32;
    reschedule();
}

// If all have come who will, complete the meeting and wake its lanes.
inline void try_to_complete(int warp, Meeting& meeting) {
    if (meeting.mask & warps[warp].live & ~meeting.arrived) return;
    Thread* lanes = threads + 32 * warp;
    if (meeting.complete) meeting.complete(lanes, meeting.arrived);
    warps[warp].runnable |= meeting.arrived;
    runnable_warps |= 1u << warp;
    meeting.arrived = 0;
}

// Wait in `what` for the other lanes of `mask`, of which those that have ended are not asked.
__attribute__((noinline)) inline void meet(const char* what, unsigned mask, void* data, Complete complete, Site site) {
    int number = int(current - threads), lane = number % 32;
    Warp& warp = warps[number / 32];
    if (!(mask >> lane & 1)) fail(site, "lane %d calls %s with the mask %08x, which lacks it", lane, what, mask);
    // A lane that comes to another meeting than the others is not wrong yet: it may come to theirs later.
    Meeting *meeting = nullptr, *unused = nullptr;
    for (Meeting& candidate : warp.meetings) {
        if (candidate.arrived == 0) {
            if (!unused) unused = &candidate;
        } else if (candidate.mask == mask && candidate.what == what && candidate.complete == complete) {
            meeting = &candidate;
        }
    }
    if (!meeting) {
        if (!unused) fail(site, "more than %d groups of one warp wait at once", most_meetings);
        meeting = unused;
        *meeting = {what, complete, mask, 0, site};
    }
    if (complete && meeting->site != site)
        fail(site, "lanes %08x wait in the same %s at line %d", meeting->arrived, what, meeting->site.line);
    current->data = data;
    meeting->arrived |= 1u << lane;
    try_to_complete(number / 32, *meeting);
    reschedule();
}

// The life of a fiber: the kernel once, then others forever.
inline void fiber() {
    arrive(launching);
    run_kernel();
    Thread& self = *current;
    Site site{"the end of the kernel", 0};
    uint64_t low;
    memcpy(&low, self.context.stack, sizeof low);
    if (low != canary) fail(site, "the stack of a thread overflowed: %zu bytes of local variables at most", stack_bytes);
    int number = int(&self - threads);
    self.done = true;
    --live_count;
    warps[number / 32].live &= ~(1u << number % 32);
    for (Meeting& meeting : warps[number / 32].meetings)
        if (meeting.arrived) try_to_complete(number / 32, meeting);
    if (live_count == 0) switch_context(self.context, launching, true);
    reschedule();
    abort();
}

// A loop of its own, since memset would be checked by ASan, which has red zones between shared variables.
__attribute__((no_sanitize("address"), noinline)) inline void fill(char* memory, size_t bytes) {
    for (volatile char* byte = memory; byte != memory + bytes; ++byte) *byte = char(0xff);
}

// Run one block, with shared memory full of NaN. Errors are in `failed` and `message`.
inline void run_block(uint3 index) {
    blockIdx = index;
    fill(static_shared, static_shared_bytes);
    fill(dynamic_shared, dynamic_shared_bytes);
    for (int i = 0; i < thread_count; ++i) {
        Thread& thread = threads[i];
        char* stack = stacks + i * stack_stride;
#if defined(__SANITIZE_ADDRESS__)
        __asan_unpoison_memory_region(stack + stack_bytes - 4096, 4096);  // the last fiber's, which never returned
#endif
        prepare(thread.context, stack, stack_bytes, fiber);
        memcpy(stack, &canary, sizeof canary);
        unsigned x = i % blockDim.x, y = i / blockDim.x % blockDim.y, z = i / blockDim.x / blockDim.y;
        thread.index = {x, y, z};
        thread.done = false;
        thread.copy_count = thread.group_count = 0;
    }
    warp_count = (thread_count + 31) / 32;
    runnable_warps = ~0u >> (32 - warp_count);
    for (int w = 0; w < warp_count; ++w) {
        int lanes = thread_count - 32 * w;
        warps[w].live = warps[w].runnable = lanes >= 32 ? ~0u : (1u << lanes) - 1;
        warps[w].waiting = 0;
        for (Meeting& meeting : warps[w].meetings) meeting.arrived = 0;
    }
    live_count = thread_count;
    waiting_count = 0;
    warp_by_warp = random_bits() >> 63;
    current = &draw(0);
    threadIdx = current->index;
    switch_context(launching, current->context, false);
}

}  // namespace convhub_emulator
