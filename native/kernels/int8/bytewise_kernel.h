#pragma once

#include "kernels/int8/bytes.h"

namespace visiontorch::kernels {

namespace {

// Rounds before it adds the zero point, as PyTorch does. NaN becomes 0, or on Arm the zero point.
class Quantizer {
 public:
  Quantizer(float inverse_scale, int zero_point)
      : scale_(all(inverse_scale)), high_(all(static_cast<float>(255 - zero_point))), zero_(all_ints(zero_point)) {}

  // Stores the first `count` of four vectors. load_vector(i): the values from i on.
  template <class Load>
  void operator()(std::uint8_t* to, int64_t count, const Load& load_vector) const {
    Ints integers[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) integers[v] = add(rounded(smaller(high_, load_vector(v * kLanes) * scale_)), zero_);
    store_bytes(to, in_order(narrow(integers)), count);
  }

 private:
  Vector scale_, high_;
  Ints zero_;
};

void quantize(const float* from, int64_t count, float inverse_scale, int zero_point, std::uint8_t* to) {
  constexpr int64_t kWidth = 4 * kLanes;
  const Quantizer put(inverse_scale, zero_point);
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) put(to + i, kWidth, [&](int64_t v) { return load(from + i + v); });
  if (i < count) put(to + i, count - i, [&](int64_t v) { return load(from + i + v, count - i - v); });
}

void round_to_bytes(const float* from, int64_t count, float scale, int zero_point, float* to) {
  const Vector inverse = all(1 / scale), step = all(scale);
  const Vector low = all(static_cast<float>(-zero_point)), high = all(static_cast<float>(255 - zero_point));
  each_vector(count, [&](int64_t i, int64_t size) {
    store(to + i, to_float(rounded(smaller(high, larger(low, load(from + i, size) * inverse)))) * step, size);
  });
}

void quantize_scaled(const QuantizeScaled& scaled) {
  constexpr int64_t kWidth = 4 * kLanes;
  const QuantizeScaled s = scaled;  // a copy, which no store can change
  const Quantizer put(s.inverse_scale, s.zero_point);
  for (int64_t pixel = 0; pixel < s.pixels; pixel++) {
    const float* from = s.from + pixel * s.channels;
    std::uint8_t* to = s.to + pixel * s.channels;
    int64_t c = 0;
    for (; c + kWidth <= s.channels; c += kWidth)
      put(to + c, kWidth, [&](int64_t v) { return load(from + c + v) * load(s.factors + c + v); });
    if (const int64_t rest = s.channels - c; rest > 0)
      put(to + c, rest, [&](int64_t v) { return load(from + c + v, rest - v) * load(s.factors + c + v, rest - v); });
  }
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
      store_bytes(out + c, most, p.channels - c);
    }
  }
}

}  // namespace

}  // namespace visiontorch::kernels
