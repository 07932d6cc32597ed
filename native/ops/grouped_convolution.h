#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// A 3 x 3 convolution in float32 of groups of 16 channels, with AVX-512.
class GroupedConvolution {
 public:
  static bool supports(const nn::Conv2d& conv, at::ScalarType type);

  // The layer's weight is [out, in / groups, 3, 3].
  GroupedConvolution(const nn::Conv2d& conv, const Affine& layer);

  // x: [n, in, h, w] -> activation(conv(x) + bias), channels-last.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation) const;

 private:
  int64_t groups_, depth_, stride_;
  at::Tensor weights_, bias_;  // of each group: see kernels::Grouped
};

}  // namespace visiontorch::ops
