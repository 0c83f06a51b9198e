// Kernels include this for __nv_bfloat16; emulator.h, which comes before every kernel, has it already.
#pragma once
