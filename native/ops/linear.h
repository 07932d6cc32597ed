#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// A linear layer with this project's own kernels. In float32 it shares the weights' memory, unpacked.
class Linear {
 public:
  static bool supports(at::ScalarType type);

  // weight [out, in] and bias [out] in float32. type: float32 or bfloat16, in which it multiplies.
  Linear(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type);

  // x [n, in] -> activation(x * weight^T + bias) [n, out] in float32.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation) const;

 private:
  at::Tensor weight_, bias_;
};

}  // namespace visiontorch::ops
