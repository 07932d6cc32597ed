#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/kernels.h"

namespace visiontorch::ops {

// A layer's weight and bias, in float32, with optional factors.
struct Affine {
  at::Tensor weight;   // [out, in, ...]
  at::Tensor bias;     // [out], or undefined
  at::Tensor factors;  // [out] in double, or undefined: multiplies the weights of each output

  // Returns the weight multiplied by its factors.
  at::Tensor scaled() const;
};

// A matrix of weights cut into panels (see kernels::Panels), and its bias in float32 (or zeros).
struct Packed {
  kernels::Panels panels{};
  at::Tensor weights, bias;  // [panel][row][width], [padded_columns]
};

// The order of a weight's taps. Reversed flips the weight in height and width.
enum class Taps { InOrder, Reversed };

// Packs a convolution's weight [out, in, height, width] as the matrix [height * width * in, out]. This is fastest if
// outputs or inputs are contiguous. `parts` is the number of threads that will share the panels.
Packed pack(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder, int64_t parts = 1);

// Packs each group of a convolution in the same way, one group after another; `panels` describes one group.
Packed pack_groups(const Affine& layer, at::ScalarType type, int64_t groups);

// Transforms a convolution's weight [out, in, 3, 3] for kernels::Winograd: [panel][point][in][width]. For bfloat16, the
// number of inputs must be even.
Packed pack_winograd(const Affine& layer, Taps taps = Taps::InOrder, at::ScalarType type = at::kFloat);

// Keeps the weight [out, in, 3, 3] untransformed; it is transformed just before it is multiplied.
Packed plain_winograd(const Affine& layer);

// Applies the transpose of the transformation, for gradients: [point][out][in] -> [out, in, 3, 3], channels-last.
void unpack_winograd(const at::Tensor& points, at::Tensor& gradient);

}  // namespace visiontorch::ops
