#pragma once

#include <cstdint>
#include <vector>

#include "image/resample.h"

namespace visiontorch::image {

// Which pixels of a line contribute to the outputs [begin, begin + count) when it is resized from `in` to `out` pixels,
// and with what weight. The arithmetic is that of Pillow's src/libImaging/Resample.c: weights in double precision,
// rounded to fixed point with 22 bits, so that 8 bits of pixel and the overshoot of bicubic fit an int.
class Weights {
 public:
  static constexpr int kPrecision = 32 - 8 - 2;
  static constexpr std::int32_t kHalf = 1 << (kPrecision - 1);
  // A weight is high * 2^15 + low, with `low` from 0 to 2^15 - 1: two factors for the 16 bit multiplications of SIMD,
  // whose sums are still exact.
  static constexpr int kLowBits = 15;
  static constexpr int kGroup = 4;

  Weights(int in, int out, int begin, int count, Filter filter);

  int count() const { return int(first_.size()); }
  int first(int i) const { return first_[i]; }
  int taps(int i) const { return taps_[i]; }
  int begin() const { return first_.front(); }
  int end() const { return first_.back() + taps_.back(); }

  const std::int32_t* of(int i) const { return &values_[std::size_t(i) * stride_]; }
  // In groups of four taps, the last filled up with zeros: four low parts, then four high parts.
  const std::int16_t* split(int i) const { return &split_[std::size_t(i) * stride_ * 2]; }
  int groups(int i) const { return (taps_[i] + kGroup - 1) / kGroup; }
  // Behind the last pixel that whole groups touch, which may lie behind the end of the line.
  int reach() const { return reach_; }

 private:
  int stride_, reach_ = 0;
  std::vector<int> first_, taps_;
  std::vector<std::int32_t> values_;
  std::vector<std::int16_t> split_;
};

}  // namespace visiontorch::image
