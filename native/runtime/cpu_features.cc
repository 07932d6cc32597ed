#include "runtime/cpu_features.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace visiontorch {

namespace {

CpuFeatures probe() {
#if defined(__x86_64__)
  const bool avx512 = __builtin_cpu_supports("x86-64-v4");
  return {.avx2 = __builtin_cpu_supports("x86-64-v3") != 0,
          .avx512 = avx512,
          .avx512_bf16 = avx512 && __builtin_cpu_supports("avx512bf16")};
#elif defined(__aarch64__) && defined(__linux__)
  return {.neon = true, .neon_bf16 = (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0};
#elif defined(__aarch64__) && defined(__APPLE__)
  int bf16 = 0;
  size_t size = sizeof(bf16);
  sysctlbyname("hw.optional.arm.FEAT_BF16", &bf16, &size, nullptr, 0);
  return {.neon = true, .neon_bf16 = bf16 != 0};
#else
  return {};
#endif
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = probe();
  return features;
}

}  // namespace visiontorch
