#pragma once

#include <ATen/ATen.h>

#include "kernels/kernels.h"
#include "nn/network.h"

namespace visiontorch::infer {

// What the operations with this project's own kernels share.

inline const kernels::Table& table() { return *kernels::table(); }

inline kernels::Activation kind(nn::Fused activation) {
  if (!activation) return kernels::Activation::None;
  return *activation == nn::Activation::ReLU ? kernels::Activation::ReLU : kernels::Activation::ReLU6;
}

// A matrix of weights cut into panels, and its bias (or zeros).
struct Packed {
  kernels::Panels panels{};
  at::Tensor weights, bias;  // [panel][row][width], [panels.padded_columns()]
};

// [rows, columns] -> [panel][row][width]
inline at::Tensor pack(const at::Tensor& matrix, const kernels::Panels& panels) {
  return at::constant_pad_nd(matrix, {0, panels.padded_columns() - panels.columns})
      .view({panels.rows, panels.count, panels.width})
      .transpose(0, 1)
      .contiguous();
}

inline at::Tensor pad_bias(const at::Tensor& bias, const kernels::Panels& panels) {
  if (!bias.defined()) return at::zeros({panels.padded_columns()}, at::kFloat);
  return at::constant_pad_nd(bias, {0, panels.padded_columns() - panels.columns}).contiguous();
}

// matrix: [rows, columns]; bias: [columns] or undefined. The panels are to be shared by `parts` threads.
inline Packed pack(const at::Tensor& matrix, const at::Tensor& bias, int64_t parts = 1) {
  const kernels::Panels panels = table().layout(matrix.size(0), matrix.size(1), parts);
  return {panels, pack(matrix, panels), pad_bias(bias, panels)};
}

}  // namespace visiontorch::infer
