#pragma once

#include "kernels/simd/vector.h"
#include "kernels/winograd/transform_kernel.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

namespace {

// Transforms a convolution's weights for Winograd filtering just before they are multiplied.

// The number of channels that are transformed at a time. The result stays in the second-level cache while it is
// multiplied by all tiles.
constexpr int64_t kFilterChannels = kMaxFilterChannels * 8 / kLanes;

// The weights of some outputs and channels of a convolution, [outputs][channels][3][3]; outputs are `row` values apart.
struct Filters {
  const float* data;
  int64_t outputs, channels, row;
};

// Returns the filters of one panel, starting with this channel.
template <class T>
Filters filters_of(const WinogradConvolution<T>& w, int64_t panel, int64_t channel) {
  const int64_t row = w.in_channels * 9, output = panel * w.panels.width;
  return {w.filters + output * row + channel * 9, w.panels.width, least(kFilterChannels, w.in_channels - channel), row};
}

// y = G w for one column of three. Each row of G has the powers of a point, divided by the product of its distances to
// the others.
inline void transform_filter(const Vector w[3], Vector y[6]) {
  constexpr float origin = 1 / (kA2 * kB2), a = 1 / (2 * kA2 * (kA2 - kB2)), b = 1 / (2 * kB2 * (kB2 - kA2));
  const Vector even_a = fma(all(a * kA2), w[2], all(a) * w[0]), odd_a = all(a * kA) * w[1];
  const Vector even_b = fma(all(b * kB2), w[2], all(b) * w[0]), odd_b = all(b * kB) * w[1];
  y[0] = all(origin) * w[0];
  y[1] = even_a + odd_a;
  y[2] = even_a - odd_a;
  y[3] = even_b + odd_b;
  y[4] = even_b - odd_b;
  y[5] = w[2];
}

// U[point][channel][output] = G w G^T; points are `distance` values apart. Outputs and channels must be multiples of
// kLanes. Not inlined, because it needs all registers.
[[gnu::noinline]] void transform_filters(const Filters& filters, int64_t distance, float* u) {
  constexpr int64_t n = Winograd::kIn, taps = 9;
  for (int64_t output = 0; output < filters.outputs; output += kLanes)
    for (int64_t channel = 0; channel < filters.channels; channel += kLanes) {
      Vector w[kLanes * taps];  // [channel][tap], a lane per output
      for (int64_t i = 0; i < taps; i++) {
        const float* from = filters.data + output * filters.row + channel * taps + i * kLanes;
        for (int64_t lane = 0; lane < kLanes; lane++) w[i * kLanes + lane] = load(from + lane * filters.row);
        transpose(w + i * kLanes);
      }
      for (int64_t i = 0; i < kLanes; i++) {
        const Vector* filter = w + i * taps;
        Vector columns[3][n];
#pragma GCC unroll 3
        for (int64_t x = 0; x < 3; x++) {
          const Vector d[3] = {filter[x], filter[3 + x], filter[6 + x]};
          transform_filter(d, columns[x]);
        }
        float* out = u + (channel + i) * filters.outputs + output;
#pragma GCC unroll 1  // otherwise it needs more pointers than there are registers
        for (int64_t y = 0; y < n; y++, out += n * distance) {
          const Vector d[3] = {columns[0][y], columns[1][y], columns[2][y]};
          Vector result[n];
          transform_filter(d, result);
#pragma GCC unroll 6
          for (int64_t x = 0; x < n; x++) store(out + x * distance, result[x]);
        }
      }
    }
}

}  // namespace

}  // namespace visiontorch::kernels
