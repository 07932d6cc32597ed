#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::autograd {

// The gradient of a convolution's weight, [out, in, k, k] in float32, channels-last, from its input x [n, in, h, w] and
// its output's gradient [n, out, h', w'], both channels-last. The same result for any number of threads.

// As matrix products of float32 or bfloat16, one for each tap of the kernel. For convolutions without groups and
// dilation.
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& gradient, const nn::Conv2d& conv);

// By Winograd's filtering, if Convolution::supports_winograd(). Transformed values of bfloat16 are rounded to it.
at::Tensor winograd_weight_gradient(const at::Tensor& x, const at::Tensor& gradient);

}  // namespace visiontorch::autograd
