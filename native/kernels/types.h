#pragma once

#include <cstdint>

namespace visiontorch::kernels {

using std::int64_t;

// The upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
};

enum class Activation : std::uint8_t { None, ReLU, ReLU6, Hardswish, Hardsigmoid, SiLU, Sigmoid, GELU, Tanh };

// The operations on a result before it is stored: activation(result + bias + residual).
template <class T>
struct Epilogue {
  Activation activation = Activation::None;
  const T* residual = nullptr;  // laid out like the output
};

// The number of floats by which rows in the scratch memory are longer than their contents. At distances of a power of
// two, rows would share few sets of the cache.
constexpr std::int64_t kPad = 16;

}  // namespace visiontorch::kernels
