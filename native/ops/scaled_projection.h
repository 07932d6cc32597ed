#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// A 1 x 1 convolution of images whose channels are multiplied by factors first, after squeeze-and-excitation.
class ScaledProjection {
 public:
  static bool supports(const nn::Conv2d& conv, at::ScalarType type);

  // layer: its weight is [out, in, 1, 1]. type: float32 or bfloat16, for which `in` must be even.
  ScaledProjection(const Affine& layer, at::ScalarType type);

  // x: [n, in, h, w] in the layer's type, channels-last, which is overwritten; factors: [n, in] in float32
  // -> activation(conv(x * factors) + residual). The result overwrites the residual, if there is one.
  at::Tensor operator()(at::Tensor x, const at::Tensor& factors, const at::Tensor& residual = {},
                        std::optional<nn::Activation> activation = {}) const;

 private:
  template <class T>
  void run(at::Tensor& x, const at::Tensor& factors, at::Tensor& y, bool adds, kernels::Activation activation) const;

  at::ScalarType type_;
  int64_t out_channels_;
  Packed packed_;
};

}  // namespace visiontorch::ops
