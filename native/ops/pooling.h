#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"

namespace visiontorch::ops {

// Pooling of channels-last tensors, for inference, with this project's own kernels.

// Returns whether there are kernels for this type on this processor.
bool supports_pooling(at::ScalarType type);

// LibTorch's own max pooling also writes the place of every maximum, which only a backward pass needs.
at::Tensor max_pool(const at::Tensor& x, const nn::MaxPool2d& pool);

// Computes the mean of each image's pixels: [n, channels, h, w] -> [n, channels, 1, 1].
at::Tensor average_pool(const at::Tensor& x);

// Computes the mean of each image's pixels from the sums of its rows: [n, h, channels] in float32 -> [n, channels].
at::Tensor mean_of_rows(const at::Tensor& sums, int64_t width);

}  // namespace visiontorch::ops
