#pragma once

#include <cstdint>
#include <vector>

#include "image/resample.h"

namespace visiontorch::image {

// The pixels of a line that contribute to the outputs [begin, begin + count) when it is resized from `in` to `out`
// pixels, and their weights. The arithmetic is that of Pillow's src/libImaging/Resample.c: weights in double precision,
// rounded to fixed point with 22 bits, so that products with 8-bit pixels and the overshoot of bicubic fit into an int.
class Weights {
 public:
  static constexpr int kPrecision = 32 - 8 - 2;
  static constexpr std::int32_t kHalf = 1 << (kPrecision - 1);
  // A weight is high * 2^15 + low, with `low` from 0 to 2^15 - 1. SIMD multiplies both parts in 16 bits, and the sums
  // stay exact.
  static constexpr int kLowBits = 15;
  static constexpr int kGroup = 4;

  Weights(int in, int out, int begin, int count, Filter filter);

  int count() const { return int(first_.size()); }
  int first(int i) const { return first_[i]; }
  int taps(int i) const { return taps_[i]; }
  int begin() const { return first_.front(); }
  int end() const { return first_.back() + taps_.back(); }

  const std::int32_t* of(int i) const { return &values_[std::size_t(i) * stride_]; }
  // The weights in groups of four taps, the last of which is padded with zeros: four low parts, then four high parts.
  const std::int16_t* split(int i) const { return &split_[std::size_t(i) * stride_ * 2]; }
  int groups(int i) const { return (taps_[i] + kGroup - 1) / kGroup; }
  // The end of the pixels that whole groups read, which may be beyond the end of the line.
  int reach() const { return reach_; }

 private:
  int stride_, reach_ = 0;
  std::vector<int> first_, taps_;
  std::vector<std::int32_t> values_;
  std::vector<std::int16_t> split_;
};

}  // namespace visiontorch::image
