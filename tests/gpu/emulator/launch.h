// The entry of the library: it checks a launch against the kernel's signature, and runs the blocks.
#pragma once

#include <sys/mman.h>

#include <csetjmp>
#include <csignal>
#include <type_traits>
#include <utility>

#include "scheduler.h"

extern "C" {
// Where the linker put the variables that are __shared__, if there are any.
extern char __start_convhub_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_convhub_shared[] __attribute__((weak, visibility("hidden")));
}

namespace convhub_emulator {

// The next three are mirrored in runtime.py. `kind` is p(ointer), i(nteger) or f(loat); `element` is what a
// pointer points to: f(loat), d(ouble), h(alf), b(float16), i(nteger), v(oid or bytes), or s(omething else).
struct Argument {
    void* value;
    int bytes, element_bytes;
    char kind, element, read_only;
};

struct Launch {
    unsigned grid[3], block[3];
    unsigned shared_bytes;
    uint64_t seed;
};

template <typename T>
constexpr char element_of() {
    using Plain = std::remove_cv_t<T>;
    if constexpr (std::is_void_v<Plain>) return 'v';
    else if constexpr (sizeof(Plain) == 1) return 'v';
    else if constexpr (std::is_same_v<Plain, float>) return 'f';
    else if constexpr (std::is_same_v<Plain, double>) return 'd';
    else if constexpr (std::is_same_v<Plain, __half>) return 'h';
    else if constexpr (std::is_same_v<Plain, __nv_bfloat16>) return 'b';
    else if constexpr (std::is_integral_v<Plain>) return 'i';
    else return 's';
}

template <typename T>
constexpr Argument expected() {
    Argument argument{nullptr, int(sizeof(T)), 0, 's', 's', 0};
    if constexpr (std::is_pointer_v<T>) {
        using Element = std::remove_pointer_t<T>;
        argument.kind = 'p';
        argument.element = element_of<Element>();
        argument.read_only = std::is_const_v<Element>;
        if constexpr (!std::is_void_v<Element>) argument.element_bytes = sizeof(Element);
    } else if constexpr (std::is_floating_point_v<T>) {
        argument.kind = 'f';
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
        argument.kind = 'i';
    }
    return argument;
}

inline const char* name_of(char kind) {
    return kind == 'p' ? "a pointer" : kind == 'f' ? "a floating-point number" : kind == 'i' ? "an integer" : "a struct";
}

inline const char* name_of_element(char element) {
    return element == 'f'   ? "float"
           : element == 'd' ? "double"
           : element == 'h' ? "half"
           : element == 'b' ? "bfloat16"
           : element == 'i' ? "integers"
                            : "structs";
}

// Whether an argument is what the kernel takes; the driver looks at nothing, and the kernel then at garbage.
inline bool fits(int index, const Argument& given, const Argument& taken) {
    if (given.kind != taken.kind || given.bytes != taken.bytes) {
        snprintf(message, sizeof message, "argument %d is %s of %d bytes, and the kernel takes %s of %d bytes", index,
                 name_of(given.kind), given.bytes, name_of(taken.kind), taken.bytes);
        return false;
    }
    if (taken.kind != 'p' || given.element == 'v') return true;
    if (given.read_only && !taken.read_only) {
        snprintf(message, sizeof message, "argument %d is a read-only array, and the kernel's pointer is not const", index);
        return false;
    }
    // Structs may be vectors of the elements; 16-bit numbers may be taken as their bits.
    bool same = given.element_bytes == taken.element_bytes &&
                (given.element == taken.element || (taken.element == 'i' && taken.element_bytes == 2));
    if (taken.element == 's') same = taken.element_bytes >= given.element_bytes;
    if (taken.element == 'v') same = true;
    if (!same) {
        snprintf(message, sizeof message,
                 "argument %d is an array of %s of %d bytes, and the kernel takes a pointer to %s of %d bytes", index,
                 name_of_element(given.element), given.element_bytes, name_of_element(taken.element),
                 taken.element_bytes);
    }
    return same;
}

template <typename Kernel>
struct Caller;

template <typename... Parameters>
struct Caller<void (*)(Parameters...)> {
    static inline void (*kernel)(Parameters...);
    static inline const Argument* arguments;

    static bool check(int count) {
        const Argument taken[] = {expected<Parameters>()..., Argument{}};
        if (count != int(sizeof...(Parameters))) {
            snprintf(message, sizeof message, "%d arguments, and the kernel takes %d", count, int(sizeof...(Parameters)));
            return false;
        }
        for (int i = 0; i < count; ++i)
            if (!fits(i, arguments[i], taken[i])) return false;
        return true;
    }

    template <size_t... I>
    static void call(std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_cv_t<Parameters>*>(arguments[I].value)...);
    }

    static void run() { call(std::index_sequence_for<Parameters...>()); }
};

// A wild pointer ends the launch with an error, and not the process; ASan, where it is, says more.
#if !defined(__SANITIZE_ADDRESS__)
static sigjmp_buf before_fault;

inline void on_fault(int signal) {
    snprintf(message, sizeof message,
             "%s (thread %u,%u,%u of block %u,%u,%u): run it under sanitized.py to see the place",
             signal == SIGFPE ? "an integer division by zero" : "memory that does not exist, or is not aligned, was used",
             threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
    failed = true;
    siglongjmp(before_fault, 1);
}

struct FaultHandler {
    static constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction old_actions[3];
    stack_t old_stack;
    alignas(16) char stack[64 << 10];  // a fiber's own may be what overflowed

    FaultHandler() {
        stack_t own{};
        own.ss_sp = stack;
        own.ss_size = sizeof stack;
        sigaltstack(&own, &old_stack);
        struct sigaction action{};
        action.sa_handler = on_fault;
        action.sa_flags = SA_ONSTACK;
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &action, &old_actions[i]);
    }
    ~FaultHandler() {
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &old_actions[i], nullptr);
        sigaltstack(&old_stack, nullptr);
    }
};
#endif

// Every block once, in random order: none may wait for another, and few count on what another has written.
inline void run_blocks(uint64_t count) {
    auto* order = static_cast<uint32_t*>(malloc(count * sizeof(uint32_t)));
    for (uint64_t i = 0; i < count; ++i) order[i] = uint32_t(i);
    for (uint64_t left = count; left && !failed; --left) {
        uint32_t drawn = random_below(uint32_t(left)), block = order[drawn];
        order[drawn] = order[left - 1];
        run_block({block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y});
    }
    free(order);
}

template <typename Kernel>
const char* launch(Kernel kernel, const Launch& launch, const Argument* arguments, int count) {
    using Called = Caller<Kernel>;
    failed = false;
    message[0] = 0;
    Called::kernel = kernel;
    Called::arguments = arguments;
    if (!Called::check(count)) return message;
    run_kernel = Called::run;
    gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    blockDim = {launch.block[0], launch.block[1], launch.block[2]};
    thread_count = int(blockDim.x * blockDim.y * blockDim.z);
    random_state = (launch.seed + 1) * 0x9e3779b97f4a7c15ull | 1;
    launching = Context();
    static_shared = __start_convhub_shared;
    static_shared_bytes = __stop_convhub_shared - __start_convhub_shared;
    dynamic_shared_bytes = launch.shared_bytes;
    dynamic_shared = static_cast<char*>(malloc(dynamic_shared_bytes));
    size_t mapped = thread_count * stack_stride;
    void* pages = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return "no memory for the stacks of the threads";
    stacks = static_cast<char*>(pages);
    for (int i = 0; i < thread_count; ++i) threads[i].copies = nullptr;
    {
#if !defined(__SANITIZE_ADDRESS__)
        FaultHandler handler;
        if (sigsetjmp(before_fault, 1) == 0)
#endif
            run_blocks(uint64_t(gridDim.x) * gridDim.y * gridDim.z);
    }
    for (int i = 0; i < thread_count; ++i) free(threads[i].copies);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(pages, mapped);  // the next owner of these pages would trip over it
#endif
    munmap(pages, mapped);
    free(dynamic_shared);
    return failed ? message : nullptr;
}

}  // namespace convhub_emulator

#define CONVHUB_EXPORT extern "C" __attribute__((visibility("default"), externally_visible))

CONVHUB_EXPORT unsigned convhub_static_shared() { return unsigned(__stop_convhub_shared - __start_convhub_shared); }

// The last line of the library's source, after the kernel's file.
#define CONVHUB_LAUNCHES(kernel)                                                                              \
    CONVHUB_EXPORT const char* convhub_launch(const convhub_emulator::Launch* launch,                         \
                                              const convhub_emulator::Argument* arguments, int count) {       \
        return convhub_emulator::launch(&kernel, *launch, arguments, count);                                  \
    }
