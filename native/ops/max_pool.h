#pragma once

#include <ATen/core/Tensor.h>

#include "nn/network.h"

namespace visiontorch::ops {

// Max pooling of a channels-last tensor, float32 or bfloat16. LibTorch's own also finds and writes the place of every
// maximum, which only a backward pass needs.
at::Tensor max_pool(const at::Tensor& x, const nn::MaxPool2d& pool);

}  // namespace visiontorch::ops
