#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "nn/layers.h"

namespace visiontorch::autograd {

// Returns whether convolution() supports these on the CPU, in float32 or under autocast to bfloat16, and is faster than
// PyTorch.
bool supports_convolution(const nn::Conv2d& conv, const at::Tensor& x);

// Computes a convolution with this project's own kernels: by Winograd's minimal filtering (see kernels::Winograd),
// forward and backward, if it is 3 x 3 with stride 1 and has enough pixels and channels; otherwise as matrix products.
// oneDNN computes a network's first convolution, which has few channels, in the backward pass and in bfloat16. The
// result does not depend on the number of threads.
at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x);

// The same, but also returns x for its other users: their gradient is added to that of x while it is computed.
std::pair<at::Tensor, at::Tensor> forked_convolution(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::autograd
