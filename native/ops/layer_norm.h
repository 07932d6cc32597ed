#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// Normalizes the last axis in one pass over each row.
class LayerNorm {
 public:
  static bool supports(at::ScalarType type);

  explicit LayerNorm(const nn::LayerNorm& norm);

  // x: [..., features] in float32 or bfloat16 -> the same shape and type. Computes in float32.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;
  double eps_;
};

}  // namespace visiontorch::ops
