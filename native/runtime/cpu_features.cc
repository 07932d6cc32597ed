#include "runtime/cpu_features.h"

namespace visiontorch {

const CpuFeatures& cpu_features() {
#if defined(__x86_64__)
  static const CpuFeatures features = {
      .avx2 = __builtin_cpu_supports("x86-64-v3") != 0,
      .avx512 = __builtin_cpu_supports("x86-64-v4") != 0,
      .avx512_bf16 = __builtin_cpu_supports("x86-64-v4") != 0 && __builtin_cpu_supports("avx512bf16") != 0};
#else
  static const CpuFeatures features = {};
#endif
  return features;
}

}  // namespace visiontorch
