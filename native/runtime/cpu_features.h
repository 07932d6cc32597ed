#pragma once

namespace visiontorch {

// The features of this machine's processor; no other code probes for them. All are false on architectures other than
// x86-64 and 64-bit Arm.
struct CpuFeatures {
  bool avx2 = false;          // x86-64-v3: with FMA
  bool avx512 = false;        // x86-64-v4: F, BW, CD, DQ, VL
  bool avx512_bf16 = false;   // and bfloat16 multiplication
  bool avx512_vnni = false;   // AVX-512 and byte multiplication
  bool avx_vnni = false;      // AVX2 and byte multiplication
  bool neon = false;          // all 64-bit Arm processors
  bool neon_bf16 = false;     // and bfloat16 multiplication: Armv8.6, Graviton 3
  bool neon_dotprod = false;  // and multiplication of signed bytes: Armv8.4, Graviton 2
  bool neon_i8mm = false;     // and of unsigned by signed bytes: Armv8.6, Graviton 3
};
const CpuFeatures& cpu_features();

}  // namespace visiontorch
