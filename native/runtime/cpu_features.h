#pragma once

namespace visiontorch {

// What this process's processor has. Nothing else asks the processor. All false on other architectures than x86-64.
struct CpuFeatures {
  bool avx2;         // x86-64-v3: with FMA
  bool avx512;       // x86-64-v4: F, BW, CD, DQ, VL
  bool avx512_bf16;  // and multiplies bfloat16
};
const CpuFeatures& cpu_features();

}  // namespace visiontorch
