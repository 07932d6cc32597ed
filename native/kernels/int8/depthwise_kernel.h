#pragma once

#include "kernels/int8/requantize.h"

namespace visiontorch::kernels {

namespace {

// Depthwise convolutions of bytes. First, the bytes of up to four rows of the window that belong to the same channel
// and column are brought side by side; then each column of the window is a step of products.

// Store a panel, whose channels have the order of interleave().
inline void put_panel(std::uint8_t* to, const Vector values[4], int64_t count, float low) {
  store_bytes(to, to_bytes(values, low), count);
}
inline void put_panel(float* to, const Vector values[4], int64_t count, float) {
  Vector ordered[4];
  in_order(values, ordered);
  put<4>(to, ordered, count, 0);
}

template <class Out, int Kernel>
void int8_depthwise_row(const Int8Depthwise<Out>& depthwise, std::uint8_t* scratch) {
  const Int8Depthwise<Out> d = depthwise;
  constexpr int kGroups = (Kernel + 3) / 4;  // of rows
  constexpr int64_t kWidth = 4 * kLanes, kColumn = kGroups * 4 * kWidth;
  for (int64_t panel = 0; panel < d.panels.count; panel++) {
    const int64_t channel = panel * kWidth, count = d.channels - channel;
    const int64_t last = (d.out_width - 1) * d.stride + Kernel;  // columns that are read
    std::uint8_t* to = scratch;
    for (int64_t column = -d.padding; column < last - d.padding; column++) {
      const bool is_inside = column >= 0 && column < d.width;
      auto bytes = [&](int row) {
        const std::uint8_t* from = is_inside && d.rows[row] != d.zeros ? d.rows[row] + column * d.channels : d.zeros;
        return load_bytes(from + channel);
      };
      for (int group = 0; group < kGroups; group++, to += 4 * kWidth) {
        const int row = group * 4, most = Kernel - 1;  // rows beyond the last have zero weights
        Bytes four[4];
        interleave(bytes(row), bytes(row + 1 < Kernel ? row + 1 : most), bytes(row + 2 < Kernel ? row + 2 : most),
                   bytes(row + 3 < Kernel ? row + 3 : most), four);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) store_bytes(to + i * kWidth, four[i]);
      }
    }
    const auto* weights = static_cast<const ByteStep::Weight*>(d.weights) + panel * d.panels.stride();
    Vector totals[4] = {all(0), all(0), all(0), all(0)};
    for (int64_t x = 0; x < d.out_width; x++) {
      Ints sums[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) sums[i] = load_ints(d.start + channel + i * kLanes);
      const std::uint8_t* from = scratch + x * d.stride * kColumn;
#pragma GCC unroll 14
      for (int step = 0; step < Kernel * kGroups; step++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
          sums[i] = ByteStep::add(sums[i], ByteStep::factor(load_bytes(from + (step * 4 + i) * kWidth)),
                                  ByteStep::weights(weights + (step * 4 + i) * kStepWeights));
      Vector values[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const int64_t at = channel + i * kLanes;
        values[i] = fma(to_float(sums[i]), load(d.requantization.scale + at), load(d.requantization.bias + at));
      }
      finish<Out, 4>(values, d.requantization);
      put_panel(d.out + x * d.channels + channel, values, count, d.requantization.low);
      if constexpr (sizeof(Out) > 1)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) totals[i] = totals[i] + values[i];
    }
    if constexpr (sizeof(Out) > 1)
      if (d.sums) put_panel(d.sums + channel, totals, count, 0);
  }
}

template <class Out>
void int8_depthwise(const Int8Depthwise<Out>& d, std::uint8_t* scratch) {
  switch (d.kernel_size) {
    case 3: return int8_depthwise_row<Out, 3>(d, scratch);
    case 5: return int8_depthwise_row<Out, 5>(d, scratch);
    case 7: return int8_depthwise_row<Out, 7>(d, scratch);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
