#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Shared by the matrix products: steps along the depth, and tiles of sums that stay in registers.

// A step of the product: one value of each row in float32, a pair of them in bfloat16.
template <class In>
struct Step;

template <>
struct Step<float> {
  static constexpr int kValues = 1;
  using Weights = Vector;
  static Weights weights(const float* p) { return load(p); }
  static Vector factor(const float* p) { return all(*p); }
  static Vector add(Vector sum, Vector x, Weights w) { return fma(x, w, sum); }
};

#if defined(VISIONTORCH_BFLOAT16_KERNELS)
template <>
struct Step<BFloat16> {
  static constexpr int kValues = 2;
  using Weights = Pairs;
  static Weights weights(const BFloat16* p) { return load_pairs(p); }
  static Pairs factor(const BFloat16* p) { return all_pairs(p); }
  static Vector add(Vector sum, Pairs x, Weights w) { return dot(sum, x, w); }
};
#endif

template <class T>
constexpr int kLine = 64 / sizeof(T);  // values per cache line

// Tiles have as many sums as fit into the registers together with the weights and a factor. Of the tiles that keep the
// arithmetic units busy, those of kBestVectors read the least per sum. Tiles of one vector are limited by their reads,
// and by the registers for the addresses of their rows.
#if defined(__AVX512F__)
constexpr int kMaxVectors = 4, kBestVectors = 4;
constexpr int kRows[] = {0, 10, 12, 8, 6};
#else
constexpr int kMaxVectors = 3, kBestVectors = 2;
constexpr int kRows[] = {0, 10, 6, 4};
#endif
constexpr int kMaxRows = 12;

Panels layout(int64_t rows, int64_t columns, int64_t parts) {
  int64_t vectors = (columns + kLanes - 1) / kLanes;
#if defined(__AVX512F__)
  // Padding with a vector of zeros costs less than panels of one vector.
  if (vectors > kMaxVectors && vectors % 2 != 0 && vectors % 3 != 0) vectors++;
#endif
  int64_t widest = vectors % kBestVectors == 0 ? kBestVectors : kMaxVectors;
  while (vectors % widest != 0) widest--;
  int64_t width = widest;
  while (width > 1 && (vectors % width != 0 || vectors / width % parts != 0)) width--;
  if (width < 3 && widest > width) width = widest;  // narrow panels cost more than they balance
  return {rows, columns, width * kLanes, vectors / width};
}

int64_t tile_rows(const Panels& panels) { return kRows[panels.width / kLanes]; }

}  // namespace

}  // namespace visiontorch::kernels
