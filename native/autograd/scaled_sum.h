#pragma once

#include <ATen/core/Tensor.h>

namespace visiontorch::autograd {

// Computes residual + x * factors, for images [n, c, h, w] and factors [n or 1, c, 1, 1]. In float32 on the CPU,
// outside of autocast, channels-last images take one pass each way, and the gradients do not depend on the number of
// threads.
at::Tensor scaled_sum(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& factors);

}  // namespace visiontorch::autograd
