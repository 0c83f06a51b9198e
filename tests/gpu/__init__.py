"""What concerns GPUs: the program behind ``make test-gpu``, tests for a device, and what stands in for one.

`device` has the tests that only a CUDA device can pass. `emulator` runs kernels on the CPU, and `manifest`
compiles them. `emulated_cupy` is the backend *cupy* on the emulator; `fake_driver` stands in for CuPy and the
driver.
"""
