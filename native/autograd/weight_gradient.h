#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::autograd {

// Overwrite `result` with the gradient of a convolution's weight, [out, in, k, k] in float32, channels-last, from its
// input x [n, in, h, w] and its output's gradient [n, out, h', w'], both channels-last. The result does not depend on
// the number of threads.

// Computes it as matrix products in float32 or bfloat16, one for each tap of the kernel. Supports convolutions without
// groups and dilation.
void weight_gradient(const at::Tensor& x, const at::Tensor& gradient, const nn::Conv2d& conv, at::Tensor& result);

// Computes it by Winograd filtering, for convolutions with Convolution::supports_winograd(). In bfloat16, the
// transformed values are rounded to bfloat16.
void winograd_weight_gradient(const at::Tensor& x, const at::Tensor& gradient, at::Tensor& result);

}  // namespace visiontorch::autograd
