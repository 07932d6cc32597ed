#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// Batch norm in training, over some of the rows (pixels) of an image batch, one after the other. `stream` asks the
// kernel to write past the caches, for results that are too large to still be there when they are read next.

// sum[c] is the sum of x[row, c] - shift[c], and square[c] that of its square. A shift near the mean keeps the variance
// exact even if the mean is much larger.
template <class T>
struct BatchNormSums {
  const T* x;
  std::int64_t rows, channels;
  const float* shift;
  float *sum, *square;
};

// The distance in bytes between rows of bits, which hold one for each channel.
constexpr std::int64_t bits_stride(std::int64_t channels) { return (channels + 15) / 16 * 2; }

// y = activation(x * scale + offset + residual), scale and offset by channel.
template <class T>
struct BatchNorm {
  const T* x;
  std::int64_t rows, channels;
  const float *scale, *offset;
  const T* residual;  // or null
  Activation activation;
  T* y;
  bool stream;
  std::uint8_t* passes = nullptr;  // or null; bits: whether the activation's derivative is 1, otherwise 0
};

// Works on g, the gradient that the activation passes on: that of values whose bit in BatchNorm is set, or of all if
// there are no bits. For Hardswish and SiLU, it is the gradient times the derivative at x * scale + offset, which is
// computed again; there is no residual then.
template <class T>
struct BatchNormGradient {
  const T *gradient, *x;
  std::int64_t rows, channels;
  const float* mean;
  const std::uint8_t* passes = nullptr;
  bool stream;
  Activation activation = Activation::None;  // Hardswish, SiLU, or None for any other
  const float *scale = nullptr, *offset = nullptr;
  // batch_norm_gradient_sums: the sums of g and of g * (x - mean), and g itself if `passed` is not null; it may
  // overwrite the gradient.
  float *sum = nullptr, *dot = nullptr;
  T* passed = nullptr;
  // batch_norm_gradient: dx = g * of_gradient + (x - mean) * of_centered + constant; these three are per channel.
  const float *of_gradient = nullptr, *of_centered = nullptr, *constant = nullptr;
  T* dx = nullptr;
};

}  // namespace visiontorch::kernels
