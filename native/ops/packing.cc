#include "ops/packing.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/allocator.h"
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

at::Tensor empty_packed(at::IntArrayRef sizes, at::ScalarType type) {
  return at::detail::empty_generic(sizes, &UsualPages::allocator(), c10::DispatchKeySet(c10::DispatchKey::CPU), type,
                                   {});
}

// The weight, or a copy of it, with its k x k taps equally far apart.
at::Tensor with_even_taps(const at::Tensor& weight) {
  const at::Tensor source = nn::aligned(weight);
  return source.stride(2) == source.size(3) * source.stride(3) ? source : source.contiguous();
}

// Calls work with (a weight, its output) -> the weight times its output's factor, rounded once.
template <class Work>
void with_factors(const at::Tensor& factors, const Work& work) {
  if (!factors.defined()) return work([](float weight, int64_t) { return weight; });
  work([factor = factors.const_data_ptr<double>()](float weight, int64_t out) {
    return static_cast<float>(weight * factor[out]);
  });
}

constexpr int64_t kMaxWidth = 64;  // filters that are transformed at once

using Filter = std::array<std::array<float, 3>, Winograd::kIn>;

// G of the interpolation points that kernels::Winograd names: powers of a point, divided by the product of its
// distances to the others.
constexpr Filter filter_transform() {
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
constexpr Filter g = filter_transform();

// u = G w G^T of `width` filters at once. w: [9][width]; u: [36] rows of width floats, at a distance.
VISIONTORCH_SIMD void transform_filters(const float* w, int64_t width, float* u, int64_t distance) {
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
VISIONTORCH_SIMD void transform_gradients(const float* u, int64_t distance, int64_t width, float* w) {
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

at::Tensor Affine::scaled() const {
  const at::Tensor source = nn::aligned(weight).contiguous();
  if (!factors.defined()) return source;
  at::Tensor result = at::empty(source.sizes(), at::kFloat);
  const int64_t count = source.numel() / source.size(0);
  const float* from = source.const_data_ptr<float>();
  const double* factor = factors.const_data_ptr<double>();
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, source.size(0), at::internal::GRAIN_SIZE / count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; out++)
      for (int64_t i = out * count; i < (out + 1) * count; i++) to[i] = static_cast<float>(from[i] * factor[out]);
  });
  return result;
}

Packed pack(const Affine& layer, at::ScalarType type, int64_t parts) {
  constexpr int64_t kBlock = 16;  // channels: what is read and what is written both stay in the first-level cache
  const at::Tensor source = with_even_taps(layer.weight);
  const int64_t taps = source.size(2) * source.size(3), in_channels = source.size(1);
  const Panels panels = table().layout(taps * in_channels, source.size(0), parts);
  at::Tensor packed = empty_packed({panels.count, panels.rows, panels.width}, type);
  const int64_t out_stride = source.stride(0), in_stride = source.stride(1), tap_stride = source.stride(3);
  const float* from = source.const_data_ptr<float>();
  with_type(type, [&]<class T>(T) {
    using Value = std::conditional_t<std::is_same_v<T, float>, float, at::BFloat16>;
    constexpr int64_t pair = std::is_same_v<T, float> ? 1 : 2;
    Value* to = packed.mutable_data_ptr<Value>();
    with_factors(layer.factors, [&](auto scale) {
      at::parallel_for(0, panels.count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; panel++) {
          const int64_t first = panel * panels.width, filled = std::min(panels.width, panels.columns - first);
          Value* out = to + panel * panels.stride();
          for (int64_t block = 0; block < in_channels; block += kBlock)
            for (int64_t tap = 0; tap < taps; tap++)
              for (int64_t c = 0; c < panels.width; c++) {
                const float* values = from + (first + c) * out_stride + tap * tap_stride;
                for (int64_t i = block; i < std::min(block + kBlock, in_channels); i++) {
                  const int64_t r = tap * in_channels + i;
                  out[r / pair * panels.width * pair + c * pair + r % pair] =
                      c < filled ? static_cast<Value>(scale(values[i * in_stride], first + c)) : Value();
                }
              }
        }
      });
    });
  });
  return {panels, packed, pad_bias(layer.bias, panels)};
}

Packed pack_winograd(const Affine& layer, Taps taps) {
  const at::Tensor source = with_even_taps(layer.weight);
  const int64_t in_channels = source.size(1);
  const Panels panels = table().layout(in_channels, source.size(0), 1);
  at::Tensor packed = empty_packed({panels.count, Winograd::kPoints, in_channels, panels.width}, at::kFloat);
  const int64_t out_stride = source.stride(0), in_stride = source.stride(1), stride = source.stride(3);
  const int64_t tap_stride = taps == Taps::Reversed ? -stride : stride;
  const float* from = source.const_data_ptr<float>() + (taps == Taps::Reversed ? 8 * stride : 0);
  float* to = packed.mutable_data_ptr<float>();
  with_factors(layer.factors, [&](auto scale) {
    at::parallel_for(0, panels.count * in_channels, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> filters(9 * panels.width);
      for (int64_t i = begin; i < end; i++) {
        const int64_t panel = i / in_channels, channel = i % in_channels, first = panel * panels.width;
        const int64_t filled = std::min(panels.width, panels.columns - first);
        for (int64_t k = 0; k < 9; k++)
          for (int64_t c = 0; c < filled; c++)
            filters[k * panels.width + c] =
                scale(from[(first + c) * out_stride + channel * in_stride + k * tap_stride], first + c);
        transform_filters(filters.data(), panels.width,
                          to + panel * Winograd::kPoints * panels.stride() + channel * panels.width, panels.stride());
      }
    });
  });
  return {panels, packed, pad_bias(layer.bias, panels)};
}

Packed plain_winograd(const Affine& layer) {
  const at::Tensor weight = layer.factors.defined() ? layer.scaled() : layer.weight.contiguous();
  const Panels panels = table().layout(weight.size(1), weight.size(0), 1);
  return {panels, weight, pad_bias(layer.bias, panels)};
}

at::Tensor unpack_winograd(const at::Tensor& points) {
  constexpr int64_t kOutputs = 32;  // at a time: what they write stays in the first-level cache
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
      transform_gradients(from + channel * out_channels + first, in_channels * out_channels, width, filters.data());
      for (int64_t c = 0; c < width; c++)
        for (int64_t k = 0; k < 9; k++) to[((first + c) * 9 + k) * in_channels + channel] = filters[k * width + c];
    }
  });
  return weight;
}

}  // namespace visiontorch::ops
