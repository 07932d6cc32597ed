#pragma once

// Before a function whose inner loops the compiler shall vectorise: it is compiled for AVX-512, AVX2 and plain x86-64,
// and the fitting one is chosen when the addon is loaded.
#define VISIONTORCH_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
