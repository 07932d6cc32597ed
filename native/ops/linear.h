#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"
#include "ops/convolution.h"

namespace visiontorch::ops {

// Computes a linear layer for few rows. In float32 it shares the memory of the weights, which are not packed.
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

// Computes a linear layer for many rows, such as the tokens of an image, with packed weights.
class TokenLinear {
 public:
  static bool supports(int64_t in_features, at::ScalarType type);

  // weight [out, in], bias [out] or undefined. scale: [out] or undefined; what the result is multiplied by.
  TokenLinear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scale, at::ScalarType type);

  // x [..., in] -> activation((x * weight^T + bias) * scale + residual) [..., out] in the layer's type. The result
  // overwrites a residual, which may be undefined.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation,
                        const at::Tensor& residual) const;

 private:
  Convolution product_;
};

}  // namespace visiontorch::ops
