#include "runtime/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace visiontorch {

namespace {

#if defined(__x86_64__)
// GCC's __builtin_cpu_supports() does not know it yet.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1U << 4) != 0;
}
#endif

CpuFeatures probe() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("x86-64-v3"), avx512 = __builtin_cpu_supports("x86-64-v4");
  return {.avx2 = avx2,
          .avx512 = avx512,
          .avx512_bf16 = avx512 && __builtin_cpu_supports("avx512bf16"),
          .avx512_vnni = avx512 && __builtin_cpu_supports("avx512vnni"),
          .avx_vnni = avx2 && has_avx_vnni()};
#elif defined(__aarch64__) && defined(__linux__)
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  return {.neon = true,
          .neon_bf16 = (second & HWCAP2_BF16) != 0,
          .neon_dotprod = (first & HWCAP_ASIMDDP) != 0,
          .neon_i8mm = (second & HWCAP2_I8MM) != 0};
#elif defined(__aarch64__) && defined(__APPLE__)
  const auto has = [](const char* feature) {
    int value = 0;
    size_t size = sizeof(value);
    sysctlbyname(feature, &value, &size, nullptr, 0);
    return value != 0;
  };
  return {.neon = true,
          .neon_bf16 = has("hw.optional.arm.FEAT_BF16"),
          .neon_dotprod = has("hw.optional.arm.FEAT_DotProd"),
          .neon_i8mm = has("hw.optional.arm.FEAT_I8MM")};
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
