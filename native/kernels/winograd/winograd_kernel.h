#pragma once

#include "kernels/gemm/indirect_gemm_kernel.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"
#include "kernels/winograd/filters_kernel.h"
#include "kernels/winograd/transform_kernel.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

namespace {

// Winograd F(4 x 4, 3 x 3).

// Computes the tile's outputs, A^T m A, for one panel of channels.
template <class T, class Factor>
void scatter(const WinogradConvolution<T, Factor>& w, int64_t tile, const float* m, int64_t point_stride,
             int64_t channel) {
  constexpr int64_t n = Winograd::kIn, out = Winograd::kOut;
  const Place place = place_of(w.height, w.width, tile);
  const int64_t end = least(channel + w.panels.width, w.out_channels);
  for (int64_t c = channel; c < end; c += kLanes, m += kLanes) {
    Vector columns[n][out];
    for (int64_t x = 0; x < n; x++) {
      Vector d[n];
#pragma GCC unroll 6
      for (int64_t y = 0; y < n; y++) d[y] = load(m + (y * n + x) * point_stride);
      transform_output(d, columns[x]);
    }
    const Vector bias = load(w.bias + c);
    for (int64_t y = 0; y < least(out, w.height - place.y); y++) {
      Vector d[n], result[out];
#pragma GCC unroll 6
      for (int64_t x = 0; x < n; x++) d[x] = columns[x][y];
      transform_output(d, result);
      const int64_t pixel = (place.image * w.height + place.y + y) * w.width + place.x;
      for (int64_t x = 0; x < least(out, w.width - place.x); x++) {
        const int64_t offset = (pixel + x) * w.stride + c;
        Vector sum = result[x] + bias;
        if (w.epilogue.residual) sum += load(w.epilogue.residual + offset, end - c);
        store(w.out + offset, activate(sum, w.epilogue.activation), end - c);
      }
    }
  }
}

template <class T, class Factor>
void winograd(const WinogradConvolution<T, Factor>& w, const WinogradPart& part, float* scratch) {
  const int64_t first = part.first_tile, tiles = part.last_tile - first, row = w.in_channels + kPad,
                width = w.panels.width;
  const int64_t in_stride = kWinogradTiles * row + kPad, out_stride = kWinogradTiles * width + kPad;
  const int64_t chunk = w.filters ? kFilterChannels : w.in_channels;  // per step
  const int64_t filter_stride = w.filters ? chunk * width + kPad : w.panels.stride();
  float *m = scratch + Winograd::kPoints * in_stride, *u = m + Winograd::kPoints * out_stride;
  auto* v = reinterpret_cast<Factor*>(scratch);
  if (!part.gathered)
    for (int64_t tile = 0; tile < tiles; tile++)
      gather(w.images, w.height, w.width, w.in_channels, first + tile, v + tile * row, in_stride);
  const Factor* rows[kWinogradTiles];
  for (int64_t panel = part.first_panel; panel < part.last_panel; panel++) {
    for (int64_t channel = 0; channel < w.in_channels; channel += chunk) {
      const int64_t channels = least(chunk, w.in_channels - channel);
      const Factor* weights = w.weights + panel * Winograd::kPoints * filter_stride;
      if constexpr (sizeof(Factor) == sizeof(float))
        if (w.filters) {
          transform_filters(filters_of(w, panel, channel), filter_stride, u);
          weights = u;
        }
      for (int64_t point = 0; point < Winograd::kPoints; point++) {
        for (int64_t tile = 0; tile < tiles; tile++) rows[tile] = v + point * in_stride + tile * row + channel;
        float* out = m + point * out_stride;
        indirect_gemm<Factor, float>({
            .rows = rows,
            .count = tiles,
            .taps = 1,
            .depth = channels,
            .panels = {channels, width, width, 1},
            .weights = weights + point * filter_stride,
            .bias = nullptr,
            .first = 0,
            .last = 1,
            .out = out,
            .stride = width,
            .epilogue = {Activation::None, channel > 0 ? out : nullptr},
        });
      }
    }
    for (int64_t tile = 0; tile < tiles; tile++) scatter(w, first + tile, m + tile * width, out_stride, panel * width);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
