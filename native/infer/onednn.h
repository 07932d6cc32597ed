#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"

namespace visiontorch::infer::onednn {

// The only code that uses LibTorch's oneDNN operators. They are fused, with weights packed once for an input shape, and
// have no autograd. Schemas: aten/src/ATen/native/mkldnn/RegisterMkldnnOpContextClass.cpp.

// Returns whether this CPU supports them in this type (bfloat16 needs AVX-512).
bool available(at::ScalarType dtype);

at::Tensor pack_convolution(const at::Tensor& weight, const nn::Conv2d& conv, at::IntArrayRef input_size);
// activation(conv(x) + bias)
at::Tensor convolution(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& bias,
                       const nn::Conv2d& conv, std::optional<nn::Activation> activation);
// activation(conv(x) + bias + other), written into `other`, which must be channels-last.
at::Tensor convolution_add_(at::Tensor other, const at::Tensor& x, const at::Tensor& packed,
                            const std::optional<at::Tensor>& bias, const nn::Conv2d& conv,
                            std::optional<nn::Activation> activation);

at::Tensor pack_linear(const at::Tensor& weight, int64_t batch_size);
at::Tensor linear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias,
                  std::optional<nn::Activation> activation);

}  // namespace visiontorch::infer::onednn
