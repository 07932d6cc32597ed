#pragma once

#include "kernels/simd/vector.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

namespace {

// Plain loops over `width` filters at once, which the compiler vectorizes.

struct FilterTransform {
  float g[Winograd::kIn][3];
};

// Winograd's matrix G for the interpolation points: each row has the powers of a point, divided by the product of its
// distances to the others.
constexpr FilterTransform filter_transform() {
  constexpr int kCount = 5;
  constexpr double kPoints[kCount] = {0, 0.75, -0.75, 1.5, -1.5};
  FilterTransform result{};
  for (int i = 0; i < kCount; i++) {
    double denominator = 1, power = 1;
    for (int j = 0; j < kCount; j++)
      if (j != i) denominator *= kPoints[i] - kPoints[j];
    for (float& value : result.g[i]) {
      value = static_cast<float>(power / denominator);
      power *= kPoints[i];
    }
  }
  result.g[kCount][2] = 1;  // the point at infinity
  return result;
}
constexpr FilterTransform kFilterTransform = filter_transform();

void winograd_filters(const WinogradFilters& p) {
  constexpr int64_t n = Winograd::kIn;
  const auto& g = kFilterTransform.g;
  const int64_t step = p.filter_stride, width = p.width;
  const float* w = p.filters;
  float rows[3][WinogradFilters::kMaxWidth];
  for (int64_t i = 0; i < n; i++) {
    for (int64_t b = 0; b < 3; b++)
      for (int64_t c = 0; c < width; c++)
        rows[b][c] = g[i][0] * w[b * step + c] + g[i][1] * w[(3 + b) * step + c] + g[i][2] * w[(6 + b) * step + c];
    for (int64_t j = 0; j < n; j++)
      for (int64_t c = 0; c < width; c++)
        p.points[(i * n + j) * p.point_stride + c] = rows[0][c] * g[j][0] + rows[1][c] * g[j][1] + rows[2][c] * g[j][2];
  }
}

void winograd_filter_gradients(const WinogradFilterGradients& p) {
  constexpr int64_t n = Winograd::kIn;
  const auto& g = kFilterTransform.g;
  const int64_t width = p.width;
  float row[WinogradFilters::kMaxWidth];
  for (int64_t k = 0; k < 9; k++)
    for (int64_t c = 0; c < width; c++) p.filters[k * p.filter_stride + c] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < 3; b++) {
      for (int64_t c = 0; c < width; c++) row[c] = 0;
      for (int64_t j = 0; j < n; j++)
        for (int64_t c = 0; c < width; c++) row[c] += p.points[(i * n + j) * p.point_stride + c] * g[j][b];
      for (int64_t a = 0; a < 3; a++)
        for (int64_t c = 0; c < width; c++) p.filters[(a * 3 + b) * p.filter_stride + c] += g[i][a] * row[c];
    }
}

}  // namespace

}  // namespace visiontorch::kernels
