#include <cstdlib>
#include <string>

#include "kernels/int8/int8.h"
#include "kernels/kernels.h"
#include "runtime/cpu_features.h"
#include "runtime/error.h"

namespace visiontorch::kernels {

namespace {

struct Set {
  const char* name;
  bool available;
  const Table* table;
  const Int8Kernels* int8 = nullptr;
};

Set choose() {
  [[maybe_unused]] const CpuFeatures& features = cpu_features();
  const Set sets[] = {
#if defined(__x86_64__)
      {"avx512_bf16", features.avx512_bf16, &kAvx512Bf16, features.avx512_vnni ? &kInt8Avx512Vnni : &kInt8Avx2},
      {"avx512_vnni", features.avx512_vnni, &kAvx512, &kInt8Avx512Vnni},
      {"avx512", features.avx512, &kAvx512, &kInt8Avx2},
      {"avx2_vnni", features.avx_vnni, &kAvx2, &kInt8AvxVnni},
      {"avx2", features.avx2, &kAvx2, &kInt8Avx2},
#elif defined(__aarch64__)
      {"neon_bf16", features.neon_bf16, &kNeonBf16,
       features.neon_i8mm      ? &kInt8I8mm
       : features.neon_dotprod ? &kInt8Dotprod
                               : nullptr},
      {"neon_i8mm", features.neon_i8mm, &kNeon, &kInt8I8mm},
      {"neon_dotprod", features.neon_dotprod, &kNeon, &kInt8Dotprod},
      {"neon", features.neon, &kNeon},
#endif
      {"onednn", true, nullptr},
  };
  const char* variable = std::getenv("VISIONTORCH_KERNELS");
  const std::string wanted = variable ? variable : "";
  std::string choices;
  for (const Set& set : sets) {
    if (!set.available) continue;
    if (wanted.empty() || wanted == set.name) return set;
    choices += (choices.empty() ? "" : ", ") + std::string(set.name);
  }
  throw Error("ERR_INVALID_ARGUMENT", "VISIONTORCH_KERNELS: expected a value that this processor supports (" + choices +
                                          "), got '" + wanted + "'");
}

const Set& chosen() {
  static const Set set = choose();
  return set;
}

}  // namespace

std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels) {
  return Winograd::kPoints *
         (kWinogradTiles * (in_channels + panels.width + kPad) + kMaxFilterChannels * panels.width + 3 * kPad);
}

// Includes what the tiles and panels of any instruction set need in addition.
std::int64_t gemm_tn_scratch(std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t kPanel = 64, kVector = 16;
  return kGemmTNDepth * (rows + kVector + kPad + columns + kPanel);
}

const Table* table() { return chosen().table; }

const Int8Kernels* int8_kernels() { return chosen().int8; }

}  // namespace visiontorch::kernels
