#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// Batch norm in training, for some consecutive rows (pixels) of an image batch. `stream` asks the kernel to bypass the
// caches when it writes results that are too large to still be cached when they are read next.

// sum[c] is the sum of x[row, c] - shift[c], and square[c] the sum of its square. With a shift near the mean, the
// variance stays exact even if the mean is much larger.
template <class T>
struct BatchNormSums {
  const T* x;
  std::int64_t rows, channels;
  const float* shift;
  float *sum, *square;
};

// The distance in bytes between rows of bits, each of which has one bit per channel.
constexpr std::int64_t bits_stride(std::int64_t channels) { return (channels + 15) / 16 * 2; }

// y = activation(x * scale + offset + residual), with scale and offset per channel.
template <class T>
struct BatchNorm {
  const T* x;
  std::int64_t rows, channels;
  const float *scale, *offset;
  const T* residual;  // or null
  Activation activation;
  T* y;
  bool stream;
  std::uint8_t* passes = nullptr;  // bits, or null: 1 if the activation's derivative is 1, otherwise 0
};

// Works on g, the gradient of the activation's input. For values whose bit in BatchNorm is set, or for all if there are
// no bits, g is the gradient of the output; for the others, it is zero. For Hardswish and SiLU, g is that gradient
// times the derivative at x * scale + offset, which is computed again; then there is no residual.
template <class T>
struct BatchNormGradient {
  const T *gradient, *x;
  std::int64_t rows, channels;
  const float* mean;
  const std::uint8_t* passes = nullptr;
  bool stream;
  Activation activation = Activation::None;  // Hardswish, SiLU, or None for any other
  const float *scale = nullptr, *offset = nullptr;
  // batch_norm_gradient_sums: the sums of g and of g * (x - mean) and, if `passed` is not null, g itself, which may
  // overwrite the gradient.
  float *sum = nullptr, *dot = nullptr;
  T* passed = nullptr;
  // batch_norm_gradient: dx = g * of_gradient + (x - mean) * of_centered + constant; these three factors are per
  // channel.
  const float *of_gradient = nullptr, *of_centered = nullptr, *constant = nullptr;
  T* dx = nullptr;
};

}  // namespace visiontorch::kernels
