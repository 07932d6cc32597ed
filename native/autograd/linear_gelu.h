#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::autograd {

// Returns whether linear_gelu() supports these: on the CPU in float32, outside of autocast, with a bias.
bool supports_linear_gelu(const nn::Linear& linear, const at::Tensor& x);

// Computes gelu(linear(x)) [..., out] from x [..., in]. LibTorch multiplies; the bias and GELU take one pass each way,
// and so does the gradient of the bias. The gradients do not depend on the number of threads.
at::Tensor linear_gelu(const nn::Linear& linear, const at::Tensor& x);

}  // namespace visiontorch::autograd
