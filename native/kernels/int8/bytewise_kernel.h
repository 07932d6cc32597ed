#pragma once

#include "kernels/int8/bytes.h"

namespace visiontorch::kernels {

namespace {

void quantize(const float* from, int64_t count, float inverse_scale, int zero_point, std::uint8_t* to) {
  const Vector scale = all(inverse_scale), low = all(static_cast<float>(-zero_point)),
               high = all(static_cast<float>(255 - zero_point)), zero = all(static_cast<float>(zero_point));
  // Rounds before it adds the zero point, as PyTorch does. NaN becomes `low`, or on Arm the zero
  // point.
  auto bytes = [&](Vector x) { return rounded(to_float(rounded(smaller(high, larger(x * scale, low)))) + zero); };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) narrow(to + i, bytes(load(from + i)), kLanes);
  if (i < count) narrow(to + i, bytes(load(from + i, count - i)), count - i);
}

// As max_pool_row(). The order of bytes is that of the values.
void max_pool_bytes(const MaxPoolRow<std::uint8_t>& pool) {
  constexpr int64_t kWidth = 4 * kLanes;
  const MaxPoolRow<std::uint8_t> p = pool;
  const int64_t top = p.row * p.stride - p.padding;
  const int64_t first_row = top > 0 ? top : 0, last_row = least(top + p.kernel_size, p.height);
  std::uint8_t* out = p.out;
  for (int64_t column = 0; column < p.out_width; column++, out += p.channels) {
    const int64_t left = column * p.stride - p.padding;
    const int64_t first = left > 0 ? left : 0, last = least(left + p.kernel_size, p.width);
    const std::uint8_t* window = p.image + (first_row * p.width + first) * p.channels;
    for (int64_t c = 0; c < p.channels; c += kWidth) {
      Bytes most = load_bytes(window + c);
      for (int64_t y = 0; y < last_row - first_row; y++)
        for (int64_t x = 0; x < last - first; x++)
          most = largest(most, load_bytes(window + (y * p.width + x) * p.channels + c));
      if (p.channels - c >= kWidth) {
        store_bytes(out + c, most);
      } else {
        std::uint8_t copy[kWidth];
        store_bytes(copy, most);
        __builtin_memcpy(out + c, copy, static_cast<unsigned long>(p.channels - c));
      }
    }
  }
}

}  // namespace

}  // namespace visiontorch::kernels
