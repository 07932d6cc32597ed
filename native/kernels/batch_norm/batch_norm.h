#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// Batch norm in training, over some of the rows (pixels) of an image batch, one after the other. `stream` asks to write
// past the caches, for what is too large to be there still when it is read next.

// sum[c] and square[c]: of x[row, c] - shift[c], and of its square. A shift near the mean keeps the variance exact
// where the mean is large against it.
template <class T>
struct BatchNormSums {
  const T* x;
  std::int64_t rows, channels;
  const float* shift;
  float *sum, *square;
};

// From row to row of bits, one for each channel, in bytes.
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
  std::uint8_t* passes = nullptr;  // bits: whether the activation's derivative is 1 (else 0), where not null
};

// Of g, the gradient where the activation lets it pass: where the bits of BatchNorm are set, or everywhere.
template <class T>
struct BatchNormGradient {
  const T *gradient, *x;
  std::int64_t rows, channels;
  const float* mean;
  const std::uint8_t* passes = nullptr;
  bool stream;
  // batch_norm_gradient_sums: of g and of g * (x - mean); g itself, where not null: it may take the gradient's place.
  float *sum = nullptr, *dot = nullptr;
  T* passed = nullptr;
  // batch_norm_gradient: dx = g * of_gradient + (x - mean) * of_centered + constant, these by channel.
  const float *of_gradient = nullptr, *of_centered = nullptr, *constant = nullptr;
  T* dx = nullptr;
};

}  // namespace visiontorch::kernels
