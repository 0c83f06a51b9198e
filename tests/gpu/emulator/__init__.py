"""CUDA C kernels on the CPU: a fixture for tests of kernels where there is no GPU.

`EmulatedRuntime` compiles a kernel's file with g++ and runs it on NumPy arrays; `emulator.h` says what
kernels must keep to, `sanitized` runs tests or scripts with the kernels under ASan and UBSan.
"""

from .runtime import EmulatedRuntime, EmulatorError, sanitizer_is_loaded, why_not

__all__ = ["EmulatedRuntime", "EmulatorError", "sanitizer_is_loaded", "why_not"]
