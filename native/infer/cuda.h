#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/network.h"
#include "ops/packing.h"

namespace visiontorch::infer::cuda {

using nn::Fused;

// The layers of an inference plan on a GPU, by LibTorch's and cuDNN's operators. Launching a kernel takes longer there
// than most of them compute, hence as few for a layer as there are operators for.

// The layer's weight, multiplied by its factors.
at::Tensor prepare(const ops::Affine& layer, at::ScalarType dtype, at::MemoryFormat format);
// activation(conv(x) + bias + residual)
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       const nn::Conv2d& conv, Fused activation, const at::Tensor& residual);
// activation(x * weight + bias)
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Fused activation);

}  // namespace visiontorch::infer::cuda
