// Kernels include this for __half; emulator.h, which comes before every kernel, has it already.
#pragma once
