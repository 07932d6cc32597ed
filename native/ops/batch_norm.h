#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/network.h"

namespace visiontorch::ops {

using nn::Activation;
using nn::BatchNorm2d;

// activation(batch_norm(x) + residual) with the statistics of the batch, as one operation forward and one backward: on
// the CPU these layers cost memory traffic, and PyTorch's separate operations read and write the activations about
// twice as often. `residual` may be undefined. Updates the running statistics as PyTorch does. Arithmetic in float32,
// sums over blocks of fixed size in a fixed order: the same result for any number of threads.
at::Tensor batch_norm_activation(const BatchNorm2d& norm, const at::Tensor& x, const at::Tensor& residual,
                                 nn::Fused activation);

// Throws ERR_INVALID_ARGUMENT where a channel of x has a single value, whose variance is not defined.
void check_batch_norm(const at::Tensor& x);

// Whether x is what the fused operation takes: on the CPU, channels-last, and of a type that there are kernels for.
bool fuses_batch_norm(const at::Tensor& x);

}  // namespace visiontorch::ops
