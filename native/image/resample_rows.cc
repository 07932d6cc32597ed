#include "image/resample_rows.h"

#include <ATen/Context.h>
#include <ATen/Version.h>

#include <algorithm>
#include <vector>

#include "runtime/cpu_features.h"

namespace visiontorch::image {

namespace {

std::uint8_t clip(std::int32_t sum) { return std::uint8_t(std::clamp(sum >> Weights::kPrecision, 0, 255)); }

void horizontal_row(const std::uint8_t* in, std::uint8_t* out, const Weights& weights) {
  for (int x = 0; x < weights.count(); x++) {
    const std::uint8_t* pixel = in + weights.first(x) * 3;
    const std::int32_t* w = weights.of(x);
    std::int32_t r = Weights::kHalf, g = Weights::kHalf, b = Weights::kHalf;
    for (int k = 0; k < weights.taps(x); k++, pixel += 3) {
      r += pixel[0] * w[k];
      g += pixel[1] * w[k];
      b += pixel[2] * w[k];
    }
    *out++ = clip(r);
    *out++ = clip(g);
    *out++ = clip(b);
  }
}

void horizontal(View source, Image& out, const Weights& weights) {
  for (int y = 0; y < source.height; y++) horizontal_row(source.row(y), out.row(y), weights);
}

void vertical(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const Weights& weights, int i) {
  std::vector<std::int32_t> sums(std::size_t(bytes), Weights::kHalf);
  const std::int32_t* w = weights.of(i);
  for (int k = 0; k < weights.taps(i); k++, in += stride)
    for (int b = 0; b < bytes; b++) sums[b] += in[b] * w[k];
  for (int b = 0; b < bytes; b++) out[b] = clip(sums[b]);
}

}  // namespace

const ResampleRows kPortableRows = {horizontal, vertical};

const ResampleRows& resample_rows() {
#if defined(__x86_64__)
  // ATEN_CPU_CAPABILITY=default overrides LibTorch's choice and this one.
  static const bool avx2 = cpu_features().avx2 && at::get_cpu_capability() != "DEFAULT";
  if (avx2) return kAvx2Rows;
#endif
  return kPortableRows;
}

}  // namespace visiontorch::image
