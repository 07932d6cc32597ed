#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "nn/layers.h"

namespace visiontorch::autograd {

// Whether convolution() takes this: on the CPU, in float32 or under autocast to bfloat16, if it is faster than
// PyTorch's.
bool supports_convolution(const nn::Conv2d& conv, const at::Tensor& x);

// A convolution with this project's own kernels: by Winograd's minimal filtering (see kernels::Winograd), forward and
// backward, if it is 3 x 3 with stride 1 and has enough pixels and channels; otherwise as matrix products. oneDNN
// computes the rest: a network's first convolution, which has few channels, backward and in bfloat16. The result does
// not depend on the number of threads.
at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x);

// The same, and x again for its other users: their gradient is added to that of x while it is computed.
std::pair<at::Tensor, at::Tensor> forked_convolution(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::autograd
