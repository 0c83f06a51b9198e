// The context switch under the emulator's fibers: one fiber is one CUDA thread.
//
// swapcontext() makes two system calls for the signal mask, some hundred times what a switch costs that saves
// the callee-saved registers and nothing else. So x86-64 and aarch64 have their own, and others the slow one.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace convhub_emulator {

// What is suspended: the stack pointer, below which the registers lie, and what ASan wants to know of it.
struct Context {
    void* stack_pointer = nullptr;
    const void* stack = nullptr;
    size_t stack_bytes = 0;
    void* fake_stack = nullptr;
};

}  // namespace convhub_emulator

#if defined(__x86_64__)

extern "C" __attribute__((visibility("hidden"))) void convhub_switch(void** save, void* load);

asm(R"(
.text
.globl convhub_switch
.hidden convhub_switch
.type convhub_switch, @function
convhub_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size convhub_switch, . - convhub_switch
)");

namespace convhub_emulator {

// Six registers, the entry to return to, and a null return address for a debugger that walks the stack.
inline void prepare(Context& context, char* stack, size_t bytes, void (*entry)()) {
    uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t(15);
    void** frame = reinterpret_cast<void**>(top) - 8;
    for (int i = 0; i < 8; ++i) frame[i] = nullptr;
    frame[6] = reinterpret_cast<void*>(entry);
    context = {frame, stack, bytes, nullptr};
}

inline void switch_registers(Context& from, Context& to) { convhub_switch(&from.stack_pointer, to.stack_pointer); }

}  // namespace convhub_emulator

#elif defined(__aarch64__)

extern "C" __attribute__((visibility("hidden"))) void convhub_switch(void** save, void* load);

asm(R"(
.text
.globl convhub_switch
.hidden convhub_switch
.type convhub_switch, %function
convhub_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size convhub_switch, . - convhub_switch
)");

namespace convhub_emulator {

// Twenty registers, of which x30 is the entry to return to.
inline void prepare(Context& context, char* stack, size_t bytes, void (*entry)()) {
    uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t(15);
    void** frame = reinterpret_cast<void**>(top) - 20;
    for (int i = 0; i < 20; ++i) frame[i] = nullptr;
    frame[11] = reinterpret_cast<void*>(entry);
    context = {frame, stack, bytes, nullptr};
}

inline void switch_registers(Context& from, Context& to) { convhub_switch(&from.stack_pointer, to.stack_pointer); }

}  // namespace convhub_emulator

#else

#include <ucontext.h>

namespace convhub_emulator {

// The saved state of a fiber lies at the low end of its own stack, that of the launching thread in a static.
inline void prepare(Context& context, char* stack, size_t bytes, void (*entry)()) {
    uintptr_t low = (reinterpret_cast<uintptr_t>(stack) + 64 + 63) & ~uintptr_t(63);
    auto* state = reinterpret_cast<ucontext_t*>(low);
    getcontext(state);
    state->uc_stack.ss_sp = state + 1;
    state->uc_stack.ss_size = stack + bytes - reinterpret_cast<char*>(state + 1);
    state->uc_link = nullptr;
    makecontext(state, entry, 0);
    context = {state, stack, bytes, nullptr};
}

inline void switch_registers(Context& from, Context& to) {
    static ucontext_t launching_thread;
    if (from.stack_pointer == nullptr) from.stack_pointer = &launching_thread;
    swapcontext(static_cast<ucontext_t*>(from.stack_pointer), static_cast<ucontext_t*>(to.stack_pointer));
}

}  // namespace convhub_emulator

#endif

namespace convhub_emulator {

// Suspend `from` and go on with `to`. A fiber that is `done` never returns, and ASan forgets its frames.
inline void switch_context(Context& from, Context& to, bool done) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(done ? nullptr : &from.fake_stack, to.stack, to.stack_bytes);
    switch_registers(from, to);
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#else
    (void)done;
    switch_registers(from, to);
#endif
}

// What a fiber does first: tell ASan that it has arrived, and from `previous`, if that is not known yet.
inline void arrive(Context& previous) {
#if defined(__SANITIZE_ADDRESS__)
    const void* stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
    if (previous.stack == nullptr) {
        previous.stack = stack;
        previous.stack_bytes = bytes;
    }
#else
    (void)previous;
#endif
}

}  // namespace convhub_emulator
