#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "nn/quantization.h"

namespace visiontorch::quantize {

// How the range of an activation is chosen from the observed values.
enum class Method {
  MinMax,      // all of them
  Percentile,  // all but 0.005% at either end
  Mse          // the range whose rounding and clipping errors have the smallest sum of squares
};

// Counts how many values of a tensor are in each of many equal intervals. The range grows with the values.
class Histogram {
 public:
  // Adds a contiguous float32 tensor, with its axes in any order. Throws ERR_NON_FINITE.
  void add(const at::Tensor& values);

  bool is_empty() const { return count_ == 0; }
  // Returns the scale of asymmetric bytes. Zero is always in the range, and is exactly a byte.
  nn::ByteScale scale(Method method) const;

 private:
  static constexpr size_t kBins = 4096;

  void include(double low, double high);
  double center(size_t bin) const { return low_ + (static_cast<double>(bin) + 0.5) * width_; }
  struct Range {
    double low, high;
  };
  Range percentile() const;
  Range least_error() const;
  double squared_error(Range range) const;

  double low_ = 0, width_ = 0;  // the start of the first bin, and the width of each
  double min_ = 0, max_ = 0;
  int64_t count_ = 0;
  std::vector<int64_t> bins_ = std::vector<int64_t>(kBins);
};

// Returns the scale of bytes for this range, extended to zero.
nn::ByteScale byte_scale(double low, double high);

// Rounds the values to those that bytes of this scale can hold, like torch.fake_quantize_per_tensor_affine.
at::Tensor fake_quantize(const at::Tensor& values, const nn::ByteScale& scale);

}  // namespace visiontorch::quantize
