#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// The gradient of a convolution's weight, [out, in, k, k] in float32, channels-last, from its input x [n, in, h, w] and
// its output's gradient [n, out, h', w'], both channels-last. The same result for any number of threads.

// As matrix products, one for each tap of the kernel, of float32 or bfloat16. For convolutions without groups and
// dilation.
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& gradient, const nn::Conv2d& conv);

// By Winograd's filtering, where Convolution::supports_winograd(). Of bfloat16, what is transformed is rounded to it.
at::Tensor winograd_weight_gradient(const at::Tensor& x, const at::Tensor& gradient);

}  // namespace visiontorch::ops
