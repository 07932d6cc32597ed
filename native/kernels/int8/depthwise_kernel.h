#pragma once

#include "kernels/int8/requantize.h"

namespace visiontorch::kernels {

namespace {

// Depthwise convolutions of bytes. First, the bytes of four rows that belong to the same channel and column are brought
// side by side, once for all output rows; then each column of the window is a step of products.

// Store a panel, whose channels have the order of interleave().
inline void put_panel(std::uint8_t* to, const Vector values[4], int64_t count, const Requantization& r) {
  store_bytes(to, to_bytes(values, r.low, r.high), count);
}
inline void put_panel(float* to, const Vector values[4], int64_t count, const Requantization& r) {
  Vector ordered[4];
  in_order(values, ordered);
  put<4>(to, ordered, count, r);
}

// to: [column][group of 4 rows][4 / kValues][4 * kWidth]
template <class Out, int Groups>
void interleave_rows(const Int8Depthwise<Out>& d, int64_t channel, int64_t columns, std::uint8_t* to) {
  constexpr int kRows = 4 * Groups;
  const std::uint8_t* rows[kRows];
  int64_t steps[kRows];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; row++) {
    rows[row] = d.rows[row] + channel;
    steps[row] = d.rows[row] == d.zeros ? 0 : d.channels;
  }
  const Bytes outside = load_bytes(d.zeros + channel);
  for (int64_t column = -d.padding; column < columns - d.padding; column++) {
    const bool is_inside = column >= 0 && column < d.width;
#pragma GCC unroll 2
    for (int first = 0; first < kRows; first += 4) {
      Bytes bytes[4] = {outside, outside, outside, outside}, four[4];
      if (is_inside)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) bytes[i] = load_bytes(rows[first + i] + column * steps[first + i]);
      // Of four bytes, ByteStep::of_step() takes the even and the odd ones.
      constexpr int kSecond = ByteStep::kValues == 2 ? 2 : 1;
      interleave(bytes[0], bytes[kSecond], bytes[3 - kSecond], bytes[3], four);
#pragma GCC unroll 2
      for (int step = 0; step < 4 / ByteStep::kValues; step++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++, to += 4 * kLanes) store_bytes(to, ByteStep::of_step(four[i], step));
    }
  }
}

template <class Out, int Kernel>
void filter_row(const Int8Depthwise<Out>& depthwise, int64_t channel, const std::uint8_t* columns,
                const ByteStep::Weight* weights, Out* out, float* sums_of_outputs) {
  const Int8Depthwise<Out> d = depthwise;  // a copy, which no store can change
  constexpr int kSteps = Kernel * ((Kernel + 3) / 4) * 4 / ByteStep::kValues;
  constexpr int64_t kWidth = 4 * kLanes, kColumn = kSteps / Kernel * 4 * kWidth;
  const int64_t count = d.channels - channel;
  Vector totals[4] = {all(0), all(0), all(0), all(0)};
  // All weights of a small kernel fit into registers.
  constexpr int kKept = kSteps * 4 * sizeof(ByteStep::Weights) <= 12 * 64 && sizeof(Bytes) == 64 ? kSteps * 4 : 0;
  ByteStep::Weights kept[kKept + 1];
#pragma GCC unroll 12
  for (int i = 0; i < kKept; i++) kept[i] = ByteStep::weights(weights + i * kStepWeights);
  for (int64_t x = 0; x < d.out_width; x++) {
    Ints sums[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[i] = load_ints(d.start + channel + i * kLanes);
    const std::uint8_t* from = columns + x * d.stride * kColumn;
#pragma GCC unroll 28
    for (int step = 0; step < kSteps; step++)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++)
        sums[i] =
            ByteStep::add(sums[i], ByteStep::factor(load_bytes(from + (step * 4 + i) * kWidth)),
                          kKept > 0 ? kept[step * 4 + i] : ByteStep::weights(weights + (step * 4 + i) * kStepWeights));
    Vector values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const int64_t at = channel + i * kLanes;
      values[i] = fma(to_float(sums[i]), load(d.requantization.scale + at), load(d.requantization.bias + at));
    }
    finish<Out, 4>(values, d.requantization);
    put_panel(out + x * d.channels + channel, values, count, d.requantization);
    if constexpr (sizeof(Out) > 1)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) totals[i] = totals[i] + values[i];
  }
  if constexpr (sizeof(Out) > 1)
    if (sums_of_outputs) put_panel(sums_of_outputs + channel, totals, count, d.requantization);
}

template <class Out, int Kernel>
void int8_depthwise_rows(const Int8Depthwise<Out>& d, std::uint8_t* scratch) {
  const int64_t columns = (d.out_width - 1) * d.stride + Kernel;  // that are read
  for (int64_t panel = d.first; panel < d.last; panel++) {
    const int64_t channel = panel * 4 * kLanes;
    interleave_rows<Out, (Kernel + 3) / 4>(d, channel, columns, scratch);
    for (int64_t row = 0; row < d.out_rows; row++) {
      const auto* weights =
          static_cast<const ByteStep::Weight*>(d.weights) + (row * d.panels.count + panel) * d.panels.stride();
      filter_row<Out, Kernel>(d, channel, scratch, weights, d.out + row * d.out_width * d.channels,
                              d.sums ? d.sums + row * d.channels : nullptr);
    }
  }
}

template <class Out>
void int8_depthwise(const Int8Depthwise<Out>& d, std::uint8_t* scratch) {
  switch (d.kernel_size) {
    case 3: return int8_depthwise_rows<Out, 3>(d, scratch);
    case 5: return int8_depthwise_rows<Out, 5>(d, scratch);
    case 7: return int8_depthwise_rows<Out, 7>(d, scratch);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
