#include <cstdlib>
#include <string_view>

#include "kernels/kernels.h"
#include "runtime/cpu_features.h"

namespace visiontorch::kernels {

namespace {

const Table* choose() {
  const char* variable = std::getenv("VISIONTORCH_KERNELS");
  const std::string_view wanted = variable ? variable : "";
  if (wanted == "onednn") return nullptr;
#if defined(__x86_64__)
  const CpuFeatures& features = cpu_features();
  if (features.avx512_bf16 && wanted != "avx512" && wanted != "avx2") return &kAvx512Bf16;
  if (features.avx512 && wanted != "avx2") return &kAvx512;
  if (features.avx2) return &kAvx2;
#endif
  return nullptr;
}

}  // namespace

std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels) {
  return Winograd::kPoints *
         (kWinogradTiles * (in_channels + panels.width + kPad) + kMaxFilterChannels * panels.width + 3 * kPad);
}

// With what the tiles and panels of any instruction set hold too much.
std::int64_t gemm_tn_scratch(std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t kPanel = 64, kVector = 16;
  return kGemmTNDepth * (rows + kVector + kPad + columns + kPanel);
}

const Table* table() {
  static const Table* chosen = choose();
  return chosen;
}

}  // namespace visiontorch::kernels
