#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "nn/layers.h"

namespace visiontorch::ops {

// Whether trained_convolution() takes this: on the CPU, float32 or under autocast to bfloat16, and of a kind in which
// it is faster than PyTorch's.
bool trains_convolution(const nn::Conv2d& conv, const at::Tensor& x);

// A convolution that is computed with this project's own kernels: by Winograd's minimal filtering, forward and backward
// (see kernels::Winograd), where it is of 3 x 3 and stride 1 and there are enough pixels and channels; else as matrix
// products. What is left is oneDNN's: a network's first convolution, of few channels, backward and in bfloat16. The
// same result for any number of threads.
at::Tensor trained_convolution(const nn::Conv2d& conv, const at::Tensor& x);

// The same, and x again, for whoever else takes it: what comes back from there is added to x's gradient while that is
// computed.
std::pair<at::Tensor, at::Tensor> forked_convolution(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::ops
