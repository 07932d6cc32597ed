#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "nn/quantization.h"

namespace visiontorch::quantize {

// How the range of an activation is chosen from the values that were seen.
enum class Method {
  MinMax,      // all of them
  Percentile,  // all but 0.005% at either end
  Mse          // the range whose rounding and clipping errors have the smallest sum of squares
};

// How often values of a tensor lie in each of many equal intervals. The range grows with the values.
class Histogram {
 public:
  // A contiguous float32 tensor, in any order of its axes. Throws ERR_NON_FINITE.
  void add(const at::Tensor& values);

  bool is_empty() const { return count_ == 0; }
  // Of asymmetric bytes. Zero is always in the range, and exactly a byte.
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

  double low_ = 0, width_ = 0;  // of the first bin, and of each
  double min_ = 0, max_ = 0;
  int64_t count_ = 0;
  std::vector<int64_t> bins_ = std::vector<int64_t>(kBins);
};

// The scale of bytes for this range, which is extended to zero.
nn::ByteScale byte_scale(double low, double high);

// The values rounded to what bytes of this scale hold, as torch.fake_quantize_per_tensor_affine does.
at::Tensor fake_quantize(const at::Tensor& values, const nn::ByteScale& scale);

}  // namespace visiontorch::quantize
