#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <type_traits>

#include "kernels/kernels.h"
#include "nn/layers.h"

namespace visiontorch::ops {

// Helpers of operations on tensors that call this project's own kernels.

inline const kernels::Table& table() { return *kernels::table(); }

inline kernels::Activation kind(std::optional<nn::Activation> activation) {
  if (!activation) return kernels::Activation::None;
  switch (*activation) {
    case nn::Activation::ReLU: return kernels::Activation::ReLU;
    case nn::Activation::ReLU6: return kernels::Activation::ReLU6;
    case nn::Activation::Hardswish: return kernels::Activation::Hardswish;
    case nn::Activation::Hardsigmoid: return kernels::Activation::Hardsigmoid;
    case nn::Activation::SiLU: return kernels::Activation::SiLU;
    case nn::Activation::Sigmoid: return kernels::Activation::Sigmoid;
    case nn::Activation::GELU: return kernels::Activation::GELU;
    case nn::Activation::Tanh: return kernels::Activation::Tanh;
  }
  return kernels::Activation::None;
}

// Returns a tensor's memory as the kernels' type: at::kFloat as float, at::kBFloat16 as kernels::BFloat16.
template <class T>
const T* data(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}
template <class T>
T* mutable_data(at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

// The distance between the pixels of a channels-last image, which may have some of the channels of a larger one.
inline int64_t pixel_stride(const at::Tensor& x) {
  return x.size(3) > 1 ? x.stride(3) : x.size(2) > 1 ? x.stride(2) : x.stride(0);
}

// Calls work(T()) with the kernels' type for this scalar type.
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

}  // namespace visiontorch::ops
