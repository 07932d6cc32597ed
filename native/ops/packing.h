#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/kernels.h"
#include "nn/network.h"

namespace visiontorch::ops {

// What the operations with this project's own kernels share.

inline const kernels::Table& table() { return *kernels::table(); }

inline kernels::Activation kind(nn::Fused activation) {
  if (!activation) return kernels::Activation::None;
  return *activation == nn::Activation::ReLU ? kernels::Activation::ReLU : kernels::Activation::ReLU6;
}

// A matrix of weights cut into panels, and its bias (or zeros).
struct Packed {
  kernels::Panels panels{};
  at::Tensor weights, bias;  // [panel][row][width], [padded_columns]
};

// matrix: [rows, columns], any strides; bias: [columns] or undefined. The panels are to be shared by `parts` threads.
Packed pack(const at::Tensor& matrix, const at::Tensor& bias, int64_t parts = 1);

// A convolution's weight [out, in, 3, 3] transformed for kernels::Winograd: [panel][point][in][width].
Packed pack_winograd(const at::Tensor& weight, const at::Tensor& bias);

// The transposed of that transformation, for gradients: [point][in][out] -> [out, in, 3, 3].
at::Tensor unpack_winograd(const at::Tensor& points);

}  // namespace visiontorch::ops
