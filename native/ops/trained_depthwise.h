#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// Whether trained_depthwise() takes this: on the CPU, float32 or under autocast to bfloat16.
bool trains_depthwise(const nn::Conv2d& conv, const at::Tensor& x);

// A depthwise convolution of 3 x 3, computed with this project's own kernels; backward, the input's and the weights'
// gradients are one pass. Weights and sums are float32 in any case.
at::Tensor trained_depthwise(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::ops
