#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/kernels.h"

namespace visiontorch::ops {

// What a layer multiplies by and adds, in float32 except for the factors.
struct Affine {
  at::Tensor weight;   // [out, in, ...]
  at::Tensor bias;     // [out], or undefined
  at::Tensor factors;  // [out] in double, for the weights of each output; or undefined

  // The weight with its factors.
  at::Tensor scaled() const;
};

// A matrix of weights cut into panels (see kernels::Panels), and its bias in float32 (or zeros).
struct Packed {
  kernels::Panels panels{};
  at::Tensor weights, bias;  // [panel][row][width], [padded_columns]
};

// The order of a weight's taps. Reversed: as if it were flipped in height and width.
enum class Taps { InOrder, Reversed };

// A convolution's weight [out, in, height, width] as the matrix [height * width * in, out]. This is fastest if outputs
// or inputs are contiguous. `parts` threads will share the panels.
Packed pack(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder, int64_t parts = 1);

// The same for each group of a convolution: the panels of one group after those of another; `panels` are of one group.
Packed pack_groups(const Affine& layer, at::ScalarType type, int64_t groups);

// A convolution's weight [out, in, 3, 3] transformed for kernels::Winograd: [panel][point][in][width]. For bfloat16,
// the number of inputs is even.
Packed pack_winograd(const Affine& layer, Taps taps = Taps::InOrder, at::ScalarType type = at::kFloat);

// The same with the weight [out, in, 3, 3] as it is, to be transformed just before it is multiplied.
Packed plain_winograd(const Affine& layer);

// The transpose of that transformation, for gradients: [point][out][in] -> [out, in, 3, 3], channels-last.
at::Tensor unpack_winograd(const at::Tensor& points);

}  // namespace visiontorch::ops
