#pragma once

#include "kernels/grouped/grouped.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// The sums of so many pixels fit into AVX-512's registers, together with three weights and a value of the image.
constexpr int kMostGroupedPixels = 14;

// in: the padded rows that the pixels read, `row` values apart.
template <int Pixels, int Stride>
void grouped_pixels(const Grouped& p, const float* in, int64_t row, float* out) {
  constexpr int kSpan = (Pixels - 1) * Stride + 3;
  Vector sums[Pixels];
#pragma GCC unroll 14
  for (int i = 0; i < Pixels; i++) sums[i] = load(p.bias);
  const float* weights = p.weights;
  for (int y = 0; y < 3; y++, in += row)
    for (int64_t k = 0; k < p.depth; k++, weights += 3 * kLanes) {
      const Vector w[3] = {load(weights), load(weights + kLanes), load(weights + 2 * kLanes)};
#pragma GCC unroll 29
      for (int x = 0; x < kSpan; x++) {
        const Vector value = all(in[x * kGroupedDepth + k]);
#pragma GCC unroll 3
        for (int tap = 0; tap < 3; tap++)
          if (x >= tap && (x - tap) % Stride == 0 && (x - tap) / Stride < Pixels)
            sums[(x - tap) / Stride] = fma(value, w[tap], sums[(x - tap) / Stride]);
      }
    }
  if (clamps(p.activation)) {
    const Vector low = all(p.activation == Activation::None ? -__builtin_inff() : 0);
    const Vector high = all(p.activation == Activation::ReLU6 ? 6 : __builtin_inff());
#pragma GCC unroll 14
    for (int i = 0; i < Pixels; i++) sums[i] = larger(low, smaller(high, sums[i]));
  } else {
    // A copy, so that the sums above stay in registers.
    Vector copy[Pixels];
#pragma GCC unroll 14
    for (int i = 0; i < Pixels; i++) copy[i] = sums[i];
    activate(copy, Pixels, p.activation);
#pragma GCC unroll 14
    for (int i = 0; i < Pixels; i++) sums[i] = copy[i];
  }
#pragma GCC unroll 14
  for (int i = 0; i < Pixels; i++) store(out + i * p.out_stride, sums[i]);
}

// Blocks of pixels may overlap at the end of a row.
template <int Pixels, int Stride>
void grouped_rows(const Grouped& grouped, const float* in, int64_t row) {
  const Grouped p = grouped;  // a copy, so that the compiler knows that no store changes it
  for (int64_t y = p.first; y < p.last; y++, in += Stride * row)
    for (int64_t x = 0; x < p.out_width; x += Pixels) {
      const int64_t column = least(x, p.out_width - Pixels);
      grouped_pixels<Pixels, Stride>(p, in + column * Stride * kGroupedDepth, row,
                                     p.out + (y * p.out_width + column) * p.out_stride);
    }
}

template <int Stride>
void grouped_rows(const Grouped& p, const float* in, int64_t row) {
  const auto cost = [&](int64_t pixels) { return (p.out_width + pixels - 1) / pixels * pixels; };
  constexpr int most = kMostGroupedPixels;
  if (p.out_width >= most && cost(most) <= cost(7)) return grouped_rows<most, Stride>(p, in, row);
  if (p.out_width >= 7) return grouped_rows<7, Stride>(p, in, row);
  if (p.out_width >= 4) return grouped_rows<4, Stride>(p, in, row);
  grouped_rows<1, Stride>(p, in, row);
}

// Copies the group's channels of the rows that are read, with zeros around the image, so that they lie next to each
// other in the first-level cache.
void grouped(const Grouped& p, float* scratch) {
  const int64_t row = (p.width + 2) * kGroupedDepth, begin = p.first * p.stride - 1, end = (p.last - 1) * p.stride + 2;
  float* to = scratch;
  auto put = [&](const float* from) {
    each_vector(kGroupedDepth, [&](int64_t c, int64_t) { store(to + c, from ? load(from + c, p.depth - c) : all(0)); });
    to += kGroupedDepth;
  };
  for (int64_t y = begin; y < end; y++) {
    const bool inside = y >= 0 && y < p.height;
    put(nullptr);
    for (int64_t x = 0; x < p.width; x++) put(inside ? p.image + (y * p.width + x) * p.pixel_stride : nullptr);
    put(nullptr);
  }
  p.stride == 1 ? grouped_rows<1>(p, scratch, row) : grouped_rows<2>(p, scratch, row);
}

}  // namespace

}  // namespace visiontorch::kernels
