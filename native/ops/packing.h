#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "kernels/kernels.h"
#include "nn/layers.h"

namespace visiontorch::ops {

// What the operations with this project's own kernels share.

inline const kernels::Table& table() { return *kernels::table(); }

inline kernels::Activation kind(std::optional<nn::Activation> activation) {
  if (!activation) return kernels::Activation::None;
  switch (*activation) {
    case nn::Activation::ReLU: return kernels::Activation::ReLU;
    case nn::Activation::ReLU6: return kernels::Activation::ReLU6;
  }
  return kernels::Activation::None;
}

// A tensor's memory as the kernels' type: at::kFloat as float, at::kBFloat16 as kernels::BFloat16.
template <class T>
const T* data(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}
template <class T>
T* mutable_data(at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

// Calls work(T()) for the kernels' type of this one.
template <class Work>
void with_type(at::ScalarType type, const Work& work) {
  type == at::kFloat ? work(float()) : work(kernels::BFloat16());
}

inline bool has_kernels(at::ScalarType type) {
  return kernels::table() && (type == at::kFloat || (type == at::kBFloat16 && table().has_bfloat16()));
}

template <class In, class Out>
void gemm(const kernels::IndirectGemm<In, Out>& product) {
  if constexpr (std::is_same_v<In, Out>) {
    table().of<In>().gemm(product);
  } else if constexpr (std::is_same_v<Out, float>) {
    table().of<In>().gemm_to_float(product);
  } else {
    table().of<Out>().gemm_from_float(product);
  }
}

// What a layer multiplies by and adds, all in float32 but the factors.
struct Affine {
  at::Tensor weight;   // [out, in, ...]
  at::Tensor bias;     // [out], or undefined
  at::Tensor factors;  // [out] in double: each output's weights are to be multiplied by its own; or undefined

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

// A convolution's weight [out, in, height, width] as the matrix [height * width * in, out]; quickest where its outputs
// or its inputs lie one after the other. The panels are to be shared by `parts` threads.
Packed pack(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder, int64_t parts = 1);

// A convolution's weight [out, in, 3, 3] transformed for kernels::Winograd: [panel][point][in][width], in bfloat16 of
// an even number of inputs.
Packed pack_winograd(const Affine& layer, Taps taps = Taps::InOrder, at::ScalarType type = at::kFloat);

// The same with the weight as it is, to be transformed on the way: [out, in, 3, 3].
Packed plain_winograd(const Affine& layer);

// The transposed of that transformation, for gradients: [point][out][in] -> [out, in, 3, 3], channels-last.
at::Tensor unpack_winograd(const at::Tensor& points);

}  // namespace visiontorch::ops
