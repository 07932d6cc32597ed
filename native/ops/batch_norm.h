#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"
#include "ops/convolution.h"

namespace visiontorch::ops {

using nn::BatchNorm2d;

// activation(batch_norm(x) + residual) with the statistics of the batch, as one operation forward and one backward: on
// the CPU these layers cost memory traffic, and PyTorch's separate operations read and write the activations about
// twice as often. `residual` may be undefined. Updates the running statistics as PyTorch does. Arithmetic in float32,
// sums over blocks of rows in the order of these: forward the same result for any number of threads.
at::Tensor batch_norm_activation(const BatchNorm2d& norm, const at::Tensor& x, const at::Tensor& residual,
                                 std::optional<nn::Activation> activation);

// What to call with the rows of the gradient of y where that is computed, while they are in the cache: the backward
// pass of the batch norm whose result y is begins with them, and need not read them again. Rows may be changed: the
// gradient where the activation let it pass. Null where y is no such result.
RowsDone sums_of_gradient(const at::Tensor& y);

// Throws ERR_INVALID_ARGUMENT where a channel of x has a single value, whose variance is not defined.
void check_batch_norm(const at::Tensor& x);

// Whether x is what the fused operation takes: on the CPU, channels-last, and of a type that there are kernels for.
bool fuses_batch_norm(const at::Tensor& x);

}  // namespace visiontorch::ops
