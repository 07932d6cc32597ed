#include "ops/packing.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/allocator.h"
#include "runtime/parallel.h"

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

// Returns the offsets of the taps of a weight [out, in, k, k], in packing order.
std::vector<int64_t> tap_offsets(const at::Tensor& weight, Taps taps) {
  std::vector<int64_t> offsets;
  for (int64_t y = 0; y < weight.size(2); y++)
    for (int64_t x = 0; x < weight.size(3); x++) offsets.push_back(y * weight.stride(2) + x * weight.stride(3));
  if (taps == Taps::Reversed) std::reverse(offsets.begin(), offsets.end());
  return offsets;
}

constexpr int64_t kMaxWidth = kernels::WinogradFilters::kMaxWidth;  // of a panel
constexpr int64_t kBlock =
    64;  // input channels at a time: weights and packed weights both stay in the first-level cache

// The weights of one tap for a panel of outputs, with the outputs' factors.
struct TapWeights {
  const at::Tensor& weight;  // [out, in, k, k]
  const at::Tensor& factors;
  const Panels& panels;

  // Writes to[i][c], with rows `width` values apart, for the input channels [channel, channel + count) and the panel's
  // outputs.
  void read(int64_t offset, int64_t panel, int64_t channel, int64_t count, float* to) const {
    const int64_t out_stride = weight.stride(0), in_stride = weight.stride(1), width = panels.width;
    const int64_t first = panel * width, filled = std::min(width, panels.columns - first);
    const float* from = weight.const_data_ptr<float>() + first * out_stride + channel * in_stride + offset;
    if (in_stride == 1) {
      table().transpose({from, out_stride, filled, count, to, width});
    } else if (out_stride == 1) {
      for (int64_t i = 0; i < count; i++) std::copy_n(from + i * in_stride, filled, to + i * width);
    } else {
      for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < filled; c++) to[i * width + c] = from[i * in_stride + c * out_stride];
    }
    for (int64_t i = 0; i < count; i++, to += width) {
      if (factors.defined()) {
        const double* factor = factors.const_data_ptr<double>() + first;
        for (int64_t c = 0; c < filled; c++) to[c] = static_cast<float>(to[c] * factor[c]);
      }
      std::fill(to + filled, to + width, 0.0F);
    }
  }
};

}  // namespace

at::Tensor Affine::scaled() const {
  const at::Tensor source = weight.contiguous();
  if (!factors.defined()) return source;
  at::Tensor result = at::empty(source.sizes(), at::kFloat);
  const int64_t count = source.numel() / source.size(0);
  const float* from = source.const_data_ptr<float>();
  const double* factor = factors.const_data_ptr<double>();
  float* to = result.mutable_data_ptr<float>();
  parallel_ranges(source.size(0), at::internal::GRAIN_SIZE / count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; out++)
      for (int64_t i = out * count; i < (out + 1) * count; i++) to[i] = static_cast<float>(from[i] * factor[out]);
  });
  return result;
}

Packed pack(const Affine& layer, at::ScalarType type, Taps taps, int64_t parts) {
  const at::Tensor& source = layer.weight;
  const std::vector<int64_t> offsets = tap_offsets(source, taps);
  const int64_t in_channels = source.size(1), blocks = (in_channels + kBlock - 1) / kBlock;
  const Panels panels = table().layout(static_cast<int64_t>(offsets.size()) * in_channels, source.size(0), parts);
  const TapWeights weights{source, layer.factors, panels};
  at::Tensor packed = empty_packed({panels.count, panels.rows, panels.width}, type);
  with_type(type, [&]<class T>(T) {
    parallel_ranges(panels.count * blocks, 4, [&](int64_t begin, int64_t end) {
      std::array<float, kBlock * kMaxWidth> values;
      for (int64_t task = begin; task < end; task++) {
        const int64_t panel = task / blocks, channel = task % blocks * kBlock;
        const int64_t count = std::min(kBlock, in_channels - channel), width = panels.width;
        for (size_t tap = 0; tap < offsets.size(); tap++) {
          const int64_t row = static_cast<int64_t>(tap) * in_channels + channel, at = panel * panels.stride();
          if constexpr (std::is_same_v<T, float>) {
            weights.read(offsets[tap], panel, channel, count, packed.mutable_data_ptr<float>() + at + row * width);
          } else {
            weights.read(offsets[tap], panel, channel, count, values.data());
            auto* to = reinterpret_cast<uint32_t*>(packed.mutable_data_ptr<at::BFloat16>() + at);
            for (int64_t i = 0; i < count; i += 2)
              table().pair_up(values.data() + i * width, width, to + (row + i) / 2 * width);
          }
        }
      }
    });
  });
  return {panels, packed, pad_bias(layer.bias, panels)};
}

Packed pack_groups(const Affine& layer, at::ScalarType type, int64_t groups) {
  if (groups == 1) return pack(layer, type);
  std::vector<at::Tensor> weights, biases;
  Packed result;
  for (int64_t group = 0; group < groups; group++) {
    auto part = [&](const at::Tensor& whole) { return whole.defined() ? whole.chunk(groups)[group] : whole; };
    result = pack({part(layer.weight), part(layer.bias), part(layer.factors)}, type);
    weights.push_back(result.weights);
    biases.push_back(result.bias);
  }
  result.weights = at::cat(weights);
  result.bias = at::cat(biases);
  return result;
}

Packed pack_winograd(const Affine& layer, Taps taps, at::ScalarType type) {
  const at::Tensor& source = layer.weight;
  const std::vector<int64_t> offsets = tap_offsets(source, taps);
  const int64_t in_channels = source.size(1), blocks = (in_channels + kBlock - 1) / kBlock;
  const Panels panels = table().layout(in_channels, source.size(0), 1);
  const TapWeights weights{source, layer.factors, panels};
  at::Tensor packed = empty_packed({panels.count, Winograd::kPoints, in_channels, panels.width}, type);
  parallel_ranges(panels.count * blocks, 1, [&](int64_t begin, int64_t end) {
    constexpr int64_t points = Winograd::kPoints;
    const int64_t width = panels.width;
    std::vector<float> filters(9 * kBlock * width);  // [tap][channel][width]
    std::vector<float> pair(2 * points * width);     // [point][2 channels][width]
    for (int64_t task = begin; task < end; task++) {
      const int64_t panel = task / blocks, channel = task % blocks * kBlock;
      const int64_t count = std::min(kBlock, in_channels - channel), block = kBlock * width;
      for (int64_t tap = 0; tap < 9; tap++)
        weights.read(offsets[tap], panel, channel, count, filters.data() + tap * block);
      const int64_t at = panel * points * panels.stride() + channel * width;
      for (int64_t i = 0; i < count; i++) {
        const float* filter = filters.data() + i * width;
        if (type == at::kFloat) {
          table().winograd_filters(
              {filter, block, width, packed.mutable_data_ptr<float>() + at + i * width, panels.stride()});
          continue;
        }
        table().winograd_filters({filter, block, width, pair.data() + i % 2 * width, 2 * width});
        if (i % 2 == 0) continue;
        auto* to = reinterpret_cast<uint32_t*>(packed.mutable_data_ptr<at::BFloat16>() + at);
        for (int64_t point = 0; point < points; point++)
          table().pair_up(pair.data() + 2 * point * width, width, to + (point * panels.stride() + (i - 1) * width) / 2);
      }
    }
  });
  return {panels, packed, pad_bias(layer.bias, panels)};
}

Packed plain_winograd(const Affine& layer) {
  const at::Tensor weight = layer.factors.defined() ? layer.scaled() : layer.weight.contiguous();
  const Panels panels = table().layout(weight.size(1), weight.size(0), 1);
  return {panels, weight, pad_bias(layer.bias, panels)};
}

void unpack_winograd(const at::Tensor& points, at::Tensor& gradient) {
  constexpr int64_t kChannels = 64;  // at a time, whose sums stay in the first-level cache
  const int64_t out_channels = points.size(1), in_channels = points.size(2), filters = out_channels * in_channels;
  const int64_t blocks = (in_channels + kChannels - 1) / kChannels;
  const float* from = points.const_data_ptr<float>();
  float* to = gradient.mutable_data_ptr<float>();
  parallel_ranges(out_channels * blocks, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t out = i / blocks, channel = i % blocks * kChannels;
      table().winograd_filter_gradients({.points = from + out * in_channels + channel,
                                         .point_stride = filters,
                                         .width = std::min(kChannels, in_channels - channel),
                                         .filters = to + out * 9 * in_channels + channel,
                                         .filter_stride = in_channels});
    }
  });
}

}  // namespace visiontorch::ops
