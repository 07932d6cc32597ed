#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"
#include "ops/convolution.h"

namespace visiontorch::ops {

// A linear layer as a 1 x 1 convolution: weight [out, in], bias [out] or undefined, and factors of the result, [out] or
// undefined.
Affine scaled(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scale);

// Computes a linear layer for few rows. Its weights are not packed; in float32, it shares their memory.
class Linear {
 public:
  static bool supports(at::ScalarType type);

  // weight [out, in] and bias [out] in float32. type: that of the multiplication, float32 or bfloat16.
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

  // weight [out, in], bias [out] or undefined. scale: factors of the result, [out] or undefined.
  TokenLinear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scale, at::ScalarType type);

  // x [..., in] -> activation((x * weight^T + bias) * scale + residual) [..., out] in the layer's type. The result
  // overwrites a residual, which may be undefined.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation,
                        const at::Tensor& residual) const;

 private:
  Convolution product_;
};

}  // namespace visiontorch::ops
