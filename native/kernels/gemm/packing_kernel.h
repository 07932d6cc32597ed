#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Plain loops that the compiler vectorizes.

void pair_up(const float* rows, int64_t width, std::uint32_t* pairs) {
  auto rounded = [](float x) {
    const auto bits = __builtin_bit_cast(std::uint32_t, x);
    return x == x ? (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 : 0x7FC0U;
  };
  for (int64_t c = 0; c < width; c++) pairs[c] = rounded(rows[c]) | rounded(rows[width + c]) << 16;
}

void add_parts(const PartSum& p) {
  constexpr int64_t kBlock = 2048;  // stays in the first-level cache
  for (int64_t first = p.begin; first < p.end; first += kBlock) {
    const int64_t last = least(p.end, first + kBlock);
    const float* from = p.parts;
#pragma GCC ivdep
    for (int64_t i = first; i < last; i++) p.out[i] = from[i] + from[p.size + i];
    for (int64_t part = 2; part < p.count; part++) {
      from = p.parts + part * p.size;
#pragma GCC ivdep
      for (int64_t i = first; i < last; i++) p.out[i] += from[i];
    }
  }
}

}  // namespace

}  // namespace visiontorch::kernels
