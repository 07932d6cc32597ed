#include "ops/packing.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/simd.h"

namespace visiontorch::ops {

using kernels::Panels;
using kernels::Winograd;

namespace {

at::Tensor pad_bias(const at::Tensor& bias, const Panels& panels) {
  at::Tensor padded = at::zeros({panels.padded_columns()}, at::kFloat);
  if (bias.defined()) padded.narrow(0, 0, panels.columns).copy_(bias);
  return padded;
}

constexpr int64_t kMaxWidth = 64;  // filters that are transformed at once

using Filter = std::array<std::array<float, 3>, Winograd::kIn>;

// G of the interpolation points that kernels::Winograd names: powers of a point, divided by the product of its
// distances to the others.
Filter filter_transform() {
  constexpr std::array<double, 5> kPoints = {0, 0.75, -0.75, 1.5, -1.5};
  Filter g{};
  for (size_t i = 0; i < kPoints.size(); i++) {
    double denominator = 1, power = 1;
    for (size_t j = 0; j < kPoints.size(); j++)
      if (j != i) denominator *= kPoints[i] - kPoints[j];
    for (float& value : g[i]) {
      value = static_cast<float>(power / denominator);
      power *= kPoints[i];
    }
  }
  g.back() = {0, 0, 1};
  return g;
}

// u = G w G^T of `width` filters at once. w: [9][width]; u: [36] rows of width floats, at a distance.
VISIONTORCH_SIMD void transform_filters(const Filter& g, const float* w, int64_t width, float* u, int64_t distance) {
  constexpr int64_t n = Winograd::kIn;
  float rows[3][kMaxWidth];
  for (int64_t i = 0; i < n; i++) {
    for (int64_t b = 0; b < 3; b++)
      for (int64_t c = 0; c < width; c++)
        rows[b][c] = g[i][0] * w[b * width + c] + g[i][1] * w[(3 + b) * width + c] + g[i][2] * w[(6 + b) * width + c];
    for (int64_t j = 0; j < n; j++)
      for (int64_t c = 0; c < width; c++)
        u[(i * n + j) * distance + c] = rows[0][c] * g[j][0] + rows[1][c] * g[j][1] + rows[2][c] * g[j][2];
  }
}

// w = G^T u G of `width` filters at once. u: [36] rows at a distance; w: [9][width].
VISIONTORCH_SIMD void transform_gradients(const Filter& g, const float* u, int64_t distance, int64_t width, float* w) {
  constexpr int64_t n = Winograd::kIn;
  float row[kMaxWidth];
  std::fill_n(w, 9 * width, 0.0F);
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < 3; b++) {
      std::fill_n(row, width, 0.0F);
      for (int64_t j = 0; j < n; j++)
        for (int64_t c = 0; c < width; c++) row[c] += u[(i * n + j) * distance + c] * g[j][b];
      for (int64_t a = 0; a < 3; a++)
        for (int64_t c = 0; c < width; c++) w[(a * 3 + b) * width + c] += g[i][a] * row[c];
    }
}

}  // namespace

Packed pack(const at::Tensor& matrix, const at::Tensor& bias, at::ScalarType type, int64_t parts) {
  constexpr int64_t kBlock = 16;  // rows: what is read and what is written both stay in the first-level cache
  const Panels panels = table().layout(matrix.size(0), matrix.size(1), parts);
  const at::Tensor source = matrix.to(type);
  at::Tensor packed = at::empty({panels.count, panels.rows, panels.width}, type);
  const int64_t row_stride = source.stride(0), column_stride = source.stride(1);
  with_type(type, [&]<class T>(T) {
    constexpr int64_t pair = std::is_same_v<T, float> ? 1 : 2;
    const T* from = data<T>(source);
    T* to = mutable_data<T>(packed);
    at::parallel_for(0, panels.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++) {
        const int64_t first = panel * panels.width, filled = std::min(panels.width, panels.columns - first);
        T* out = to + panel * panels.stride();
        for (int64_t block = 0; block < panels.rows; block += kBlock)
          for (int64_t c = 0; c < panels.width; c++)
            for (int64_t r = block; r < std::min(block + kBlock, panels.rows); r++)
              out[r / pair * panels.width * pair + c * pair + r % pair] =
                  c < filled ? from[r * row_stride + (first + c) * column_stride] : T();
      }
    });
  });
  return {panels, packed, pad_bias(bias, panels)};
}

Packed pack_winograd(const at::Tensor& weight, const at::Tensor& bias, Taps taps) {
  static const Filter g = filter_transform();
  const int64_t in_channels = weight.size(1);
  const Panels panels = table().layout(in_channels, weight.size(0), 1);
  at::Tensor packed = at::empty({panels.count, Winograd::kPoints, in_channels, panels.width}, at::kFloat);
  const at::Tensor source = weight.stride(2) == 3 * weight.stride(3) ? weight : weight.contiguous();
  const int64_t out_stride = source.stride(0), in_stride = source.stride(1), stride = source.stride(3);
  const int64_t tap_stride = taps == Taps::Reversed ? -stride : stride;
  const float* from = source.const_data_ptr<float>() + (taps == Taps::Reversed ? 8 * stride : 0);
  float* to = packed.mutable_data_ptr<float>();
  at::parallel_for(0, panels.count * in_channels, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> filters(9 * panels.width);
    for (int64_t i = begin; i < end; i++) {
      const int64_t panel = i / in_channels, channel = i % in_channels, first = panel * panels.width;
      for (int64_t k = 0; k < 9; k++)
        for (int64_t c = 0; c < std::min(panels.width, panels.columns - first); c++)
          filters[k * panels.width + c] = from[(first + c) * out_stride + channel * in_stride + k * tap_stride];
      transform_filters(g, filters.data(), panels.width,
                        to + panel * Winograd::kPoints * panels.stride() + channel * panels.width, panels.stride());
    }
  });
  return {panels, packed, pad_bias(bias, panels)};
}

Packed plain_winograd(const at::Tensor& weight, const at::Tensor& bias) {
  const Panels panels = table().layout(weight.size(1), weight.size(0), 1);
  return {panels, weight.contiguous(), pad_bias(bias, panels)};
}

at::Tensor unpack_winograd(const at::Tensor& points) {
  constexpr int64_t kOutputs = 32;  // at a time: what they write stays in the first-level cache
  static const Filter g = filter_transform();
  const int64_t in_channels = points.size(1), out_channels = points.size(2);
  const int64_t groups = (out_channels + kOutputs - 1) / kOutputs;
  at::Tensor weight =
      at::empty({out_channels, in_channels, 3, 3}, points.options().memory_format(at::MemoryFormat::ChannelsLast));
  const float* from = points.const_data_ptr<float>();
  float* to = weight.mutable_data_ptr<float>();
  at::parallel_for(0, groups * in_channels, 16, [&](int64_t begin, int64_t end) {
    std::array<float, 9 * kOutputs> filters;
    for (int64_t i = begin; i < end; i++) {
      const int64_t channel = i % in_channels, first = i / in_channels * kOutputs;
      const int64_t width = std::min(kOutputs, out_channels - first);
      transform_gradients(g, from + channel * out_channels + first, in_channels * out_channels, width, filters.data());
      for (int64_t c = 0; c < width; c++)
        for (int64_t k = 0; k < 9; k++) to[((first + c) * 9 + k) * in_channels + channel] = filters[k * width + c];
    }
  });
  return weight;
}

}  // namespace visiontorch::ops
