#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// A layer norm over the last axis, with this project's own kernels.
class LayerNorm {
 public:
  static bool supports(at::ScalarType type);

  explicit LayerNorm(const nn::LayerNorm& norm);

  // x: [..., features] in float32 or bfloat16 -> the same; computed in float32.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;
  double eps_;
};

}  // namespace visiontorch::ops
