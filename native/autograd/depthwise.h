#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::autograd {

// Returns whether depthwise_convolution() supports these: on the CPU, in float32 or under autocast to bfloat16.
bool supports_depthwise(const nn::Conv2d& conv, const at::Tensor& x);

// Computes a depthwise convolution. The backward pass computes the gradients of input and weights
// together. Weights and sums are float32 for every type.
at::Tensor depthwise_convolution(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::autograd
