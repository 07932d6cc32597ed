#pragma once

namespace visiontorch {

// What this process's processor has. Nothing else asks the processor. All false on other architectures than x86-64 and
// 64-bit Arm.
struct CpuFeatures {
  bool avx2 = false;         // x86-64-v3: with FMA
  bool avx512 = false;       // x86-64-v4: F, BW, CD, DQ, VL
  bool avx512_bf16 = false;  // and multiplies bfloat16
  bool avx512_vnni = false;  // AVX-512, and multiplies bytes
  bool avx_vnni = false;     // AVX2, and multiplies bytes
  bool neon = false;         // all 64-bit Arm processors
  bool neon_bf16 = false;    // and multiplies bfloat16: Armv8.6, Graviton 3
};
const CpuFeatures& cpu_features();

}  // namespace visiontorch
