#pragma once

#include <ATen/core/Tensor.h>

#include "nn/network.h"

namespace visiontorch::ops {

// Whether trained_convolution() takes this: float32 on the CPU, 3 x 3, stride 1, padding 1, and enough pixels that it
// is faster than PyTorch's.
bool trains_convolution(const nn::Conv2d& conv, const at::Tensor& x);

// A convolution by Winograd's minimal filtering, forward and backward: see kernels::Winograd. The same result for any
// number of threads.
at::Tensor trained_convolution(const nn::Conv2d& conv, const at::Tensor& x);

}  // namespace visiontorch::ops
